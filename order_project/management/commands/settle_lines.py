"""`./manage.py order settle_lines`"""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from celery_config.common.arguments import parse_reason
from celery_config.errors import OperatorRefused
from order_project import lost_lines


class Command(BaseCommand):
    help = (
        "Say what became of orders that came back without their lines; the audit then names them no longer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("orders", nargs="+", metavar="ORDER", help="the order's id")
        parser.add_argument(
            "--why", type=parse_reason, required=True, help="what became of it; kept with your name"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            lost_lines.settle(options["orders"], by=getpass.getuser(), why=options["why"])
        except OperatorRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        left = len(lost_lines.find_unsettled())
        self.stdout.write(f"settle_lines: {len(options['orders'])} settled, {left} left")
