"""What it takes to let two neighbours of the choreographed flow change places, found in its lines and contracts."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path

from celery_config.common.services import SERVICES
from celery_config.contracts.base import Event
from celery_config.contracts.order import OrderPlaced
from celery_config.contracts.subscriptions import ReactionRule, find_missing_fields
from docs.asyncapi import parts

ROOT = Path(__file__).resolve().parents[1]


def reactions() -> list[ReactionRule]:
    return [each for listens in parts().values() for each in listens if isinstance(each, ReactionRule)]


def in_order(lines: Sequence[ReactionRule]) -> list[ReactionRule]:
    """As an order meets them: what is done, then what undoes it."""
    ahead = forward(lines)
    return [*ahead, *(each for each in lines if each not in ahead)]


def forward(lines: Sequence[ReactionRule]) -> list[ReactionRule]:
    """The lines that carry an order out, each behind the one whose word it waits for."""
    found: list[ReactionRule] = []
    said: type[Event] = OrderPlaced
    while line := next((each for each in lines if said in each.to and each.operation == "do"), None):
        found.append(line)
        said = line.announce
    return found


def touched(first: str, second: str) -> set[str]:
    """The files of the choreographed flow that change.

    These are the lines that wait for another event than before, and the contracts that must now carry what came after.

    Raises:
        SystemExit: the two are no neighbours.
    """
    before = forward(reactions())
    at = [each.command.__name__ for each in before]
    if first not in at or second not in at or at.index(second) != at.index(first) + 1:
        raise SystemExit(f"{first} and {second} do not follow each other; there are: {', '.join(at)}")
    place = at.index(first)
    after = [*before[:place], before[place + 1], before[place], *before[place + 2 :]]
    said: type[Event] = OrderPlaced
    files = set()
    for line in after:
        if said not in line.to:
            files.add(f"{package_of(line.command.service)}/subscriptions.py")
        said = line.announce
    return files | {path_of(kind) for kind in poorer(after)}


def poorer(lines: Sequence[ReactionRule]) -> Iterator[type[Event]]:
    """The events that lack something that a line behind them needs, when the lines follow each other so."""
    carried: list[type[Event]] = [OrderPlaced, *(line.announce for line in lines)]
    for number, line in enumerate(lines):
        wanted = missing(line, carried[number])
        for field in wanted:
            # Whoever knew it last must pass it on, and all between them and this line.
            for earlier in range(number, 0, -1):
                if field in fields(carried[earlier]):
                    break
                yield carried[earlier]


def missing(line: ReactionRule, heard: type[Event]) -> set[str]:
    told = [
        *find_missing_fields(line.command, heard),
        *find_missing_fields(line.announce, heard, line.command.done),
    ]
    return {each.partition(".")[2].partition(" ")[0] for each in told}


def fields(kind: type[Event]) -> set[str]:
    return set(inspect.get_annotations(kind)) - {"service"}


def package_of(service: str) -> str:
    return SERVICES[service].package


def path_of(kind: type) -> str:
    return str(Path(inspect.getfile(kind)).relative_to(ROOT))
