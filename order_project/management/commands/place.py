"""`./manage.py order place`"""

from __future__ import annotations

import random
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rest_framework.exceptions import APIException
from rich.console import Console

from celery_config.common.arguments import parse_whole_number
from celery_config.common.console import progress_bars
from celery_config.errors import SagaPaused
from celery_config.http.service_client import ServiceCallError
from celery_config.sandbox.fates import FATES, FINE
from order_project.desk import orders, rehearsal, shelves, terminal
from order_project.desk.faults import FaultsRefused, require_sandbox
from order_project.desk.rehearsal import Cast, NotRehearsed
from order_project.desk.shelves import NotDelivered
from order_project.domain import Flow
from order_project.requests import Placed

MOST_AT_ONCE = 1000
WATCHED = 5


class Command(BaseCommand):
    help = "Place orders for trying out, each with what shall happen to it. With the sandbox alone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--fate", choices=[*FATES], default=FINE.name, help="what shall happen to them")
        parser.add_argument(
            "--flow",
            choices=[flow.value for flow in Flow],
            default=Flow.ORCHESTRATED.value,
            help="who carries them out",
        )
        parser.add_argument("--count", type=parse_count, default=1, help=f"how many, {MOST_AT_ONCE} at most")
        parser.add_argument("--watch", action="store_true", help=f"the first {WATCHED} of them on their way")

    def handle(self, *args: Any, **options: Any) -> None:
        fate, flow, rng = FATES[options["fate"]], Flow(options["flow"]), random.Random()
        try:
            require_sandbox()
            goods, customer = shelves.offer_goods(), orders.ensure_desk_customer()
            drawn = [orders.draw_order(goods, fate, flow=flow, rng=rng) for _ in range(options["count"])]
            results = orders.place_orders(drawn, customer)
        except (FaultsRefused, NotDelivered, ServiceCallError, SagaPaused) as error:
            raise CommandError(str(error)) from error
        placed = [result for result in results if isinstance(result, Placed)]
        for each in placed:
            self.stdout.write(str(each.order))
        cast = rehearsal.cast_failing([each.order for each in placed], fate, flow)
        if options["watch"] and placed:
            watched = [each.order for each in placed[:WATCHED]]
            terminal.watch(Console(), watched, lambda: rehearsal.park_failing(cast))
        if cast:
            park(cast)
        refused = [result for result in results if isinstance(result, APIException)]
        self.stdout.write(f"place: {len(placed)} placed, {len(refused)} refused; shall happen: {fate.label}")
        if refused:
            raise CommandError(str(refused[0].detail))


def park(cast: Cast) -> None:
    """Wait until the orders are parked, whose failing calls are tried for about a minute.

    Raises:
        CommandError: some are not parked in time.
    """
    try:
        with progress_bars(Console()) as bar:
            going = bar.add_task("parking", total=len(cast))
            rehearsal.carry_out(cast, lambda n: bar.update(going, completed=n))
    except NotRehearsed as error:
        raise CommandError(str(error)) from error


def parse_count(text: str) -> int:
    return parse_whole_number(text, 1, MOST_AT_ONCE)
