"""`./manage.py order settle_lines`"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from celery_config.common.arguments import parse_reason, parse_text
from celery_config.common.console import read_user_name
from celery_config.errors import OperatorRefused
from order_project import lost_lines


class Command(BaseCommand):
    help = (
        "Say what became of orders that came back without their lines; the audit then names them no longer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("orders", type=parse_text, nargs="+", metavar="ORDER", help="the order's id")
        parser.add_argument(
            "--why", type=parse_reason, required=True, help="what became of it; kept with your name"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            lost_lines.settle(options["orders"], by=read_user_name(), why=options["why"])
        except OperatorRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        left = len(lost_lines.find_unsettled())
        self.stdout.write(f"settle_lines: {len(options['orders'])} settled, {left} left")
