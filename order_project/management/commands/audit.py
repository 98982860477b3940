"""`./manage.py order audit`"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from celery_config.common.console import progress_bars
from celery_config.http.service_client import ServiceCallError
from order_project import audit
from order_project.models import Order

SHOWN = 50


class Command(BaseCommand):
    help = "Ask every service what it did for each order, and compare. Exit 1 on any finding."

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console()
        try:
            with progress_bars(console) as bar:
                task = bar.add_task("audit", total=Order.objects.count())
                checked, findings = audit.run(lambda n: bar.update(task, completed=n))
        except ServiceCallError as error:
            raise CommandError(str(error)) from error
        for warning in audit.find_warnings():
            console.print(f"warning: {warning}", style="yellow", markup=False)
        if findings:
            table = Table("order", "finding")
            for finding in findings[:SHOWN]:
                table.add_row(finding.order, finding.what, style="red")
            console.print(table)
            if len(findings) > SHOWN:
                console.print(f"… and {len(findings) - SHOWN} more")
        self.stdout.write(f"audit: {checked} orders checked, {len(findings)} violations")
        if findings:
            sys.exit(1)
