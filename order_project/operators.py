"""What operators may do about choreographed orders: as about sagas, with a preview, a reason and a trail (rule 25).

Nobody sends one forward: whether it is too late to undo anything, payment says whenever it is asked to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from celery_config.db import bulk
from celery_config.errors import OperatorRefused
from celery_config.saga.engine import clock, parking
from celery_config.saga.models import OperatorAction
from celery_config.saga.operations import barrier_client
from celery_config.saga.operations.audit_trail import check_reason, written
from celery_config.saga.operations.effects import effects
from celery_config.saga.operations.operators import check_doubt
from celery_config.saga.operations.previews import Preview
from celery_config.saga.states import ENDED, OPEN, Status
from order_project import domain
from order_project.choreography import CHANGING, enter, locked, say_again, seen_of, withdraw
from order_project.models import Choreography
from order_project.parking import Seen, course_of

LABELS: Mapping[str, str] = {
    "retry": (
        "Say again what was said last of the order: that it was placed, or, while it is being undone, that it is"
        " withdrawn. Each service answers from its barrier, so that nothing is done twice; payment decides first"
        " whether it is too late to undo anything"
    ),
    "compensate": "Withdraw the order: payment decides whether it is too late; if not, every service undoes its part",
}
FITTING: Mapping[str, Sequence[str]] = {
    "retry": (*OPEN, Status.PARKED),
    "compensate": (Status.RUNNING, Status.STOPPING, Status.PARKED),
}
ORDER, WITHDRAWAL = "the order", "the withdrawal"


@dataclass(frozen=True)
class Going:
    """What a verb does to an order."""

    status: Status
    says: str


def going(verb: str, status: str, seen: Seen) -> Going | None:
    """What the verb would do to an order that stands there, of which this was seen; None: it does not fit."""
    if status in ENDED:
        return None
    match verb, domain.standing(seen):
        case "compensate", Status.RUNNING | Status.STOPPING:
            return Going(Status.STOPPING, WITHDRAWAL)
        case "retry", Status.STOPPING:
            return Going(Status.STOPPING, WITHDRAWAL)
        case "retry", (Status.RUNNING | Status.FORWARD) as there:
            return Going(there, ORDER)
    return None


def refusal_of(verb: str, status: str, seen: Seen) -> str:
    """Why the verb does not fit."""
    if status in ENDED:
        return f"the order is {status}: there is nothing to say again"
    if domain.is_contradicted(seen):
        return "what was seen of the order contradicts itself: compare the books of all who took part"
    return f"{verb} does not fit an order that is {domain.standing(seen)}: what is past its pivot goes forward only"


def preview(order: UUID, verb: str) -> Preview:
    """Return what `verb` would do to the order now, and what every participant's barrier says of it."""
    row = Choreography.objects.get(pk=order)
    (seen,) = seen_of([row])
    course, goes = course_of(row), going(verb, row.status, seen)
    answers = barrier_client.ask(course.steps, order)
    return Preview(
        refused="" if goes else refusal_of(verb, row.status, seen),
        before=row.status,
        after=goes.status if goes else row.status,
        sends=[f"announce {goes.says}"] if goes else [],
        effects=effects(course, answers),
        barriers=answers,
    )


@transaction.atomic
def perform(order: UUID, verb: str, *, by: str, why: str) -> OperatorAction:
    """Do it, and write down who did and why, in one transaction.

    Raises:
        OperatorRefused: it has ended, contradicts itself, or goes forward only.
    """
    check_reason(why)
    (row,) = locked([order])
    (seen,) = seen_of([row])
    goes, before = going(verb, row.status, seen), row.status
    if goes is None:
        raise OperatorRefused(refusal_of(verb, row.status, seen))
    if domain.standing(seen) is Status.RUNNING and goes.status is Status.STOPPING:
        row.status = Status.RUNNING.value  # a parked one goes on from where it stands
        withdraw(row, code="cancelled", reason=f"{why} ({by})")
    else:
        if before == Status.PARKED:
            enter(row, goes.status, clock.now(), seen)
        say_again(row)
        bulk.update(Choreography, [row], CHANGING)
    effect = f"{before} to {row.status}; said: {goes.says}"
    return written(verb, subject=str(order), by=by, why=why, effect=effect)


@transaction.atomic
def take_over(order: UUID, *, by: str, why: str) -> OperatorAction:
    """Become the owner of a parked order.

    Raises:
        OperatorRefused: it is not parked.
    """
    check_reason(why)
    (row,) = locked([order])
    effect = parking.take_over(row, row.status, by)
    return written("take over", subject=str(order), by=by, why=why, effect=effect)


def settle_by_hand(
    order: UUID, step: str, operation: str, answer: dict[str, Any], *, by: str, why: str
) -> OperatorAction:
    """Tell a participant what became of a call outside whose outcome nobody knows but you; ask for a retry afterwards.

    Args:
        step: the wire name of its action.
        operation: `do` or `undo`.
        answer: as the provider would have answered.

    Raises:
        OperatorRefused: the order is neither parked, stopping nor forward, or the participant has no open intent.
        PeerError: the participant did not answer.
    """
    check_reason(why)
    row = Choreography.objects.get(pk=order)
    check_doubt(row.status)
    told = barrier_client.settle(
        course_of(row), order, step, operation, str(order), answer, note=f"{why} ({by})"
    )
    what = f"{step} ({operation})"
    return written("settle by hand", subject=str(order), what=what, by=by, why=why, effect=told)
