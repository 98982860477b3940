"""Recovery of a restored database: what others' books prove is written when a human approves; the rest is a human's.

Each service's `recovery.py` makes the plan. Making one changes nothing; carrying it out writes repair by repair, each
in a transaction of its own, so that one that fails becomes a question and harms no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from django.db import transaction

from celery_config.messaging import database_gate

log = structlog.get_logger(__name__)
MAX_ROUNDS = 5


@dataclass(frozen=True)
class Repair:
    """Something that is missing here, and that others' books prove.

    Args:
        subject: the order, or what else it is about.
        what: will be written, in words.
        proof: whose books say so.
        write: writes it; the argument is a note for the rows that keep one.
        leaves: what a human must decide when it is written.
    """

    subject: str
    what: str
    proof: str
    write: Callable[[str], None] = field(repr=False)
    leaves: str = ""


@dataclass(frozen=True)
class Question:
    """Something that only a human can decide, with what is known about it."""

    subject: str
    what: str


@dataclass
class Plan:
    repairs: list[Repair] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    def add(self, *found: Repair | Question) -> None:
        for each in found:
            (self.repairs if isinstance(each, Repair) else self.questions).append(each)  # type: ignore[arg-type]


class Planner(Protocol):
    """Makes the plan of a service."""

    def __call__(self) -> Plan:
        """
        Raises:
            ServiceCallError: another service does not answer.
        """


@dataclass(frozen=True)
class Recovered:
    """What `carry_out` did."""

    written: list[Repair]
    questions: list[Question]


def carry_out(make_plan: Planner, note: str) -> Recovered:
    """Write what is proven until a new plan has nothing left that can be written.

    A repair may be the ground of another: stock must be there before it can be reserved.
    """
    written: list[Repair] = []
    failed: dict[tuple[str, str], str] = {}
    for _ in range(MAX_ROUNDS):
        plan = make_plan()
        before = len(written)
        failed.clear()
        for repair in plan.repairs:
            if why := write(repair, note):
                failed[repair.subject, repair.what] = why
            else:
                written.append(repair)
        if len(written) == before:
            break
    left = [Question(each.subject, each.leaves) for each in written if each.leaves]
    return Recovered(written, [*left, *plan.questions, *describe_failed(failed.items())])


def write(repair: Repair, note: str) -> str:
    """Write one repair; return why it could not be written, or an empty text."""
    try:
        with transaction.atomic():
            repair.write(note)
    except Exception as error:  # whatever it is: it is shown to the human, and the others are written
        database_gate.drop_if_unusable()
        # The command's table lists it with the others.
        log.debug("not written", subject=repair.subject, what=repair.what, exc_info=error)
        return str(error) or repr(error)
    log.debug("recovered", subject=repair.subject, what=repair.what, proof=repair.proof)
    return ""


def describe_failed(failed: Iterable[tuple[tuple[str, str], str]]) -> list[Question]:
    return [Question(subject, f"{what}: cannot be written: {why}") for (subject, what), why in failed]
