"""`./manage.py order audit`"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.table import Table

from celery_config.common.arguments import parse_new_file
from celery_config.common.console import progress_bars, show_text
from order_project import audit
from order_project.models import Order

SHOWN = 50


class Command(BaseCommand):
    help = (
        "Ask every service what it did for each order, and compare. Exit 1 on any finding, and when a service does not"
        " answer; what the others say is compared then, too."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--report", type=parse_new_file, metavar="FILE", help="write every finding into a CSV file"
        )
        parser.add_argument(
            "--json", action="store_true", help="print every finding as JSON, and nothing else"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # What is on standard output with --json is one document.
        console = Console(stderr=options["json"])
        with progress_bars(console) as bar:
            task = bar.add_task("audit", total=Order.objects.count())
            checked, found = audit.run(lambda n: bar.update(task, completed=n))
            sagas, of_sagas = audit.check_sagas()
        found += of_sagas
        unchecked = [each for each in found if isinstance(each, audit.Unchecked)]
        findings = [each for each in found if each not in unchecked]
        for warning in audit.find_warnings():
            console.print(f"warning: {warning}", style="yellow", markup=False)
        questions = list(audit.find_questions())
        if options["report"]:
            write_report(options["report"], found, questions)
        if options["json"]:
            rows, asked = (
                [{"order": each.order, "finding": each.what} for each in some]
                for some in (findings, questions)
            )
            told = {"checked": checked, "sagas_checked": sagas, "violations": len(rows), "findings": rows}
            told |= {"for_a_human": asked, "not_checked": [each.what for each in unchecked]}
            self.stdout.write(json.dumps(told, indent=1))
        else:
            show(console, findings, options["report"])
            show(console, unchecked, options["report"], "not checked")
            show(console, questions, options["report"], "for a human", "yellow")
            if sagas:
                self.stdout.write(
                    f"audit: {sagas} ended sagas of no order checked against the barriers of their steps"
                )
            left = f", {len(questions)} for a human" if questions else ""
            left += f", {len(unchecked)} parts not checked" if unchecked else ""
            self.stdout.write(f"audit: {checked} orders checked, {len(findings)} violations{left}")
        if found:
            sys.exit(1)


def show(
    console: Console,
    findings: Sequence[audit.Finding],
    report: Path | None,
    title: str = "finding",
    style: str = "red",
) -> None:
    if not findings:
        return
    table = Table("order", title)
    for finding in findings[:SHOWN]:
        table.add_row(show_text(finding.order), show_text(finding.what), style=style)
    console.print(table)
    if len(findings) > SHOWN:
        where = f"all are in {report}" if report else "--report FILE writes all"
        console.print(f"… and {len(findings) - SHOWN} more; {where}")


def write_report(path: Path, findings: Sequence[audit.Finding], questions: Sequence[audit.Finding]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["order", "finding"])
        rows.writerows([each.order, each.what] for each in findings)
        rows.writerows([each.order, f"for a human: {each.what}"] for each in questions)
