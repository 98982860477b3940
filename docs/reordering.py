"""The files that change when two neighbours of the choreographed flow change places, from its rules and contracts."""

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


def read_reactions() -> list[ReactionRule]:
    return [each for rules in parts().values() for each in rules if isinstance(each, ReactionRule)]


def sort_by_flow(lines: Sequence[ReactionRule]) -> list[ReactionRule]:
    """Sort the rules as an order meets them: the actions, then the undos."""
    ahead = forward_reactions(lines)
    return [*ahead, *(each for each in lines if each not in ahead)]


def forward_reactions(lines: Sequence[ReactionRule]) -> list[ReactionRule]:
    """Return the rules that carry an order out, each behind the one for whose event it waits."""
    found: list[ReactionRule] = []
    event: type[Event] = OrderPlaced
    while line := next((each for each in lines if event in each.to and each.operation == "do"), None):
        found.append(line)
        event = line.announce
    return found


def find_changed_files(first: str, second: str) -> set[str]:
    """Return the files of the choreographed flow that change when two neighbours change places.

    These are the rules that wait for another event than before, and the contracts that must now carry more fields.

    Raises:
        ValueError: the two are not neighbours.
    """
    before = forward_reactions(read_reactions())
    at = [each.command.__name__ for each in before]
    if first not in at or second not in at or at.index(second) != at.index(first) + 1:
        raise ValueError(f"{first} and {second} do not follow each other; there are: {', '.join(at)}")
    place = at.index(first)
    after = [*before[:place], before[place + 1], before[place], *before[place + 2 :]]
    event: type[Event] = OrderPlaced
    files = set()
    for line in after:
        if event not in line.to:
            files.add(f"{SERVICES[line.command.service].package}/subscriptions.py")
        event = line.announce
    return files | {find_path(kind) for kind in find_incomplete_events(after)}


def find_incomplete_events(lines: Sequence[ReactionRule]) -> Iterator[type[Event]]:
    """Yield the events that lack a field that a later rule needs, when the rules follow each other like this."""
    carried: list[type[Event]] = [OrderPlaced, *(line.announce for line in lines)]
    for number, line in enumerate(lines):
        missing = find_unmet_needs(line, carried[number])
        for field in missing:
            # The last event that has it must pass it on, and so must all events between.
            for earlier in range(number, 0, -1):
                if field in field_names(carried[earlier]):
                    break
                yield carried[earlier]


def find_unmet_needs(line: ReactionRule, event: type[Event]) -> set[str]:
    faults = [
        *find_missing_fields(line.command, event),
        *find_missing_fields(line.announce, event, line.command.done),
    ]
    return {each.partition(".")[2].partition(" ")[0] for each in faults}


def field_names(kind: type[Event]) -> set[str]:
    return set(inspect.get_annotations(kind)) - {"service"}


def find_path(kind: type) -> str:
    return str(Path(inspect.getfile(kind)).relative_to(ROOT))
