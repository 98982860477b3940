"""`./manage.py order watch ORDER`"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console, Group

from celery_config.common.arguments import parse_text
from order_project.desk import terminal
from order_project.desk.travels import read_travels
from order_project.finding import OrderNotFound, find_order


class Command(BaseCommand):
    help = "Show an order on its way through the services, until it has ended or waits for a decision."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "order",
            type=parse_text,
            help="its id or that of its saga, the end of one, or its number in another system",
        )
        parser.add_argument("--once", action="store_true", help="as it is now, and no longer")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            order = find_order(options["order"])
        except OrderNotFound as error:
            raise CommandError(str(error)) from error
        console = Console()
        if options["once"]:
            console.print(Group(*map(terminal.draw_travel, read_travels([order]))))
        else:
            terminal.watch(console, [order.pk])
