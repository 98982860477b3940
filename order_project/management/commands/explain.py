"""`./manage.py order explain ORDER`"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from celery_config.common.arguments import parse_text
from celery_config.common.visible_text import escape_controls
from order_project.case_file import make_case_file
from order_project.finding import OrderNotFound, find_order


class Command(BaseCommand):
    help = "Print all that is known of an order, to be attached to a ticket; personal data are masked."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "order",
            type=parse_text,
            help="its id or that of its saga, the end of one, or its number in another system",
        )
        parser.add_argument("--offline", action="store_true", help="ask no other service what it knows")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            order = find_order(options["order"])
        except OrderNotFound as error:
            raise CommandError(str(error)) from error
        case = make_case_file(order, ask=not options["offline"])
        self.stdout.write(escape_controls(json.dumps(case, indent=1, ensure_ascii=False, default=str)))
