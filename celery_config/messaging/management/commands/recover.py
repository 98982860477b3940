"""`./manage.py SERVICE recover`"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.module_loading import import_string
from rich.console import Console
from rich.table import Table

from celery_config.common.arguments import parse_new_file, parse_reason
from celery_config.common.console import read_user_name, show_text
from celery_config.errors import CallFailed, OutcomeUnknown, Refused
from celery_config.http.service_client import ServiceCallError
from celery_config.messaging import epochs, recovery
from celery_config.messaging.recovery import Planner, Question, Repair

SHOWN = 50


class Command(BaseCommand):
    help = (
        "After this service's database was restored: list what others' books prove is missing and what a human must"
        " decide; with --approve, write what is proven. Exit 1 while anything is left."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--begin",
            type=parse_reason,
            metavar="WHY",
            help="the database was restored: refuse clients until recover is done",
        )
        what.add_argument(
            "--approve",
            type=parse_reason,
            metavar="WHY",
            help="write what is proven, and let clients in again",
        )
        parser.add_argument(
            "--report", type=parse_new_file, metavar="FILE", help="write the whole list into a CSV file"
        )
        parser.add_argument(
            "--json", action="store_true", help="print the whole list as JSON, and nothing else"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["begin"]:
            epochs.begin(f"restored: {options['begin']}")
            self.stdout.write(
                "recover: a new epoch began; clients are refused until `recover --approve` is done"
            )
            return
        make_plan: Planner = import_string(settings.RECOVERY)
        try:
            if options["approve"]:
                repairs, questions = self.approve(make_plan, options["approve"])
            else:
                plan = make_plan()
                left = [Question(each.subject, each.leaves) for each in plan.repairs if each.leaves]
                repairs, questions = plan.repairs, [*left, *plan.questions]
        except (ServiceCallError, Refused, OutcomeUnknown, CallFailed) as error:
            raise CommandError(f"not all books can be read: {error}", returncode=2) from error
        rows = list_rows(repairs, questions, written=bool(options["approve"]))
        if options["report"]:
            write_report(options["report"], rows)
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=1))
        else:
            self.show(rows, options["report"])
            done = f"{len(repairs)} written" if options["approve"] else f"{len(repairs)} to write"
            nothing = "" if options["approve"] else "; nothing was written"
            self.stdout.write(f"recover: {done}, {len(questions)} for a human{nothing}")
            if options["report"]:
                self.stdout.write(f"recover: the whole list is in {options['report']}")
        if questions or (repairs and not options["approve"]):
            sys.exit(1)

    def approve(self, make_plan: Planner, why: str) -> tuple[list[Repair], list[Question]]:
        """Write what is proven. What is written belongs to the new epoch; clients are let in after it."""
        if not epochs.is_recovering():
            epochs.begin(f"recovered: {why}")
        done = recovery.carry_out(make_plan, f"recovered: {why} ({read_user_name()})")
        epochs.end_recovery()
        return done.written, done.questions

    def show(self, rows: Sequence[dict[str, str]], report: Path | None) -> None:
        if not rows:
            return
        console = Console(file=self.stdout, width=None if self.stdout.isatty() else 200)  # type: ignore[arg-type]
        table = Table(*rows[0])
        for row in rows[:SHOWN]:
            table.add_row(*map(show_text, row.values()))
        console.print(table)
        if len(rows) > SHOWN:
            where = f"all are in {report}" if report else "--report FILE writes all"
            console.print(f"… and {len(rows) - SHOWN} more; {where}")


def list_rows(
    repairs: Sequence[Repair], questions: Sequence[Question], *, written: bool
) -> list[dict[str, str]]:
    state = "written" if written else "to write"
    return [
        *({"state": state, "of": each.subject, "what": each.what, "proof": each.proof} for each in repairs),
        *({"state": "for a human", "of": each.subject, "what": each.what, "proof": ""} for each in questions),
    ]


def write_report(path: Path, rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ("state", "of", "what", "proof"))
        table.writeheader()
        table.writerows(rows)
