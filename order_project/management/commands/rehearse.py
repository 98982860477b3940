"""`./manage.py order rehearse`"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Column, Table

from celery_config.common.arguments import parse_whole_number
from celery_config.common.console import progress_bars, show_text
from celery_config.errors import SagaPaused
from celery_config.http.service_client import ServiceCallError
from celery_config.saga.operations.acts import name_act
from celery_config.saga.operations.wording import describe_status
from order_project.desk import letters, rehearsal
from order_project.desk.faults import FaultsRefused
from order_project.desk.letters import LetterMissing, RehearsedLetter
from order_project.desk.rehearsal import Cast, NotRehearsed
from order_project.desk.shelves import NotDelivered

COLOURS = {"completed": "green", "compensated": "yellow", "parked": "red"}


class Command(BaseCommand):
    help = (
        "Make a bad day on purpose: an order of each fate, parked ones, dead letters. With the sandbox alone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seed", type=parse_whole_number, default=1, help="of what is ordered")

    def handle(self, *args: Any, **options: Any) -> None:
        # The bar and the table say it.
        for name in ("celery_config", "order_project"):
            logging.getLogger(name).setLevel(logging.WARNING)
        console, began = Console(), time.monotonic()
        try:
            with progress_bars(console) as bar:
                cast = rehearsal.place_cast(random.Random(options["seed"]))
                unknown = letters.send_unknown_task() if letters.has_dead_letters() else None
                going = bar.add_task("orders", total=len(cast))
                status = rehearsal.carry_out(cast, lambda n: bar.update(going, completed=n))
                found = letters.wait_for_letters(unknown, rehearsal.list_spoiled(cast)) if unknown else []
        except (
            FaultsRefused,
            LetterMissing,
            NotDelivered,
            NotRehearsed,
            SagaPaused,
            ServiceCallError,
        ) as error:
            raise CommandError(str(error)) from error
        console.print(tabulate(cast, status))
        if found:
            console.print(tabulate_letters(found))
        else:
            console.print("No dead letter: the broker of files keeps none.", style="dim")
        parked = sum(word == "parked" for word in status.values())
        console.print(
            "What waits is on the board, the home of order's admin. Begin with the dead letters: once their orders have"
            " ended, they can only be dismissed. The faults last until ./manage.py sandbox mend.",
            style="dim",
        )
        seconds = time.monotonic() - began
        self.stdout.write(
            f"rehearse: {len(cast)} orders, {parked} parked, {len(found)} dead letters, after {seconds:.0f} s"
        )


def tabulate(cast: Cast, status: Mapping[UUID, str]) -> Table:
    # Of an id nothing is cut off: its end says which it is, and commands want all of it.
    order_id = Column("order", no_wrap=True)
    table = Table("what should happen", "what became of it", order_id, title="The bad day")
    for order, part in cast.items():
        word = status[order]
        table.add_row(
            f"{part.fate.label} ({part.title})",
            describe_status(word),
            str(order),
            style=COLOURS.get(word, ""),
        )
    return table


def tabulate_letters(found: Sequence[RehearsedLetter]) -> Table:
    table = Table(
        "dead letter", "what is wrong", "what to try", "why", title="Dead letters, in order's admin"
    )
    for each in found:
        row = each.letter
        fault = show_text(f"{row.task}: {row.fault}")
        table.add_row(str(row.pk), fault, name_act(each.act), letters.ADVICE[each.act])
    return table
