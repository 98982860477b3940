"""The bad day on purpose: one order of each fate, what waits for a human by each cause, and dead letters.

Everything happens as on a real bad day: the sandbox refuses, fails or tells nonsense, and the services do what they do.
The day of patience before an order is parked is cut short (`celery_config.saga.engine.patience`). What the sandbox
cannot do is written to this service's own rows of the order that plays it, as the fault would have left them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

from django.db import transaction

from celery_config.contracts.base import encode
from celery_config.contracts.inventory import ReserveStock, StockReserved
from celery_config.contracts.payment import AuthorizePayment
from celery_config.db.functions import Now
from celery_config.messaging.models import OutboxMessage
from celery_config.saga.causes import CauseKind
from celery_config.saga.engine import clock, runner
from celery_config.saga.engine.chains import LARGEST_CHAIN
from celery_config.saga.engine.machine import StepFailed
from celery_config.saga.engine.patience import end_patience
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.models import LetterAct, SagaInstance, SagaStep
from celery_config.saga.states import ENDED, Status, StepState
from celery_config.sandbox.fates import FATES, End, Fate
from order_project import selectors
from order_project.choreography.flow import CHOREOGRAPHIES
from order_project.desk import letters, orders, shelves
from order_project.desk.faults import require_sandbox
from order_project.domain import Flow
from order_project.models import Choreography, Order
from order_project.requests import Placed
from order_project.sagas.place_order import PlaceOrderStockFirst

PATIENCE = 110.0
"""Seconds that a rehearsal may take."""
LOOK_SECONDS = 0.2
MOST_NAMED = 10
CARD_REFUSED = {"code": "card_declined", "reason": "the card was declined"}
TITLES = {
    CauseKind.SILENT: "no word of it",
    CauseKind.LOST: "inventory has lost its reservation",
    CauseKind.UNDRIVABLE: "too large to be sent again",
}
LETTER_TITLES = {
    LetterAct.REBUILD: "its message cannot be read",
    LetterAct.SEND: "its message is set aside",
}
NOT_REHEARSED = {
    CauseKind.LATE: "it looks like an answer with an error, and the tries take minutes",
    CauseKind.BROKEN: "it looks like an answer with an error, and no card or address breaks a connection",
    CauseKind.UNABLE: "a service's own code fails, and no order makes it fail",
    CauseKind.ANSWERED_LATE: "only a service that answers after a day makes it",
    CauseKind.END_UNHEARD: "every service does its part, so that only a broker that loses messages for a day shows it",
    CauseKind.UNKNOWN_VERSION: "only a deployment mends it",
    CauseKind.CONTRADICTED: "payment would have to announce a falsehood",
    CauseKind.RECOVERED: "a database is restored for it: docs/how-to/restore-a-database.md",
}
"""Why a cause is left out."""


class NotRehearsed(Exception):
    """Something did not happen in time; the text names it."""


@dataclass(frozen=True)
class Part:
    """What an order of the rehearsal plays.

    Args:
        cause: what parks it.
        waited_for: whether the rehearsal waits for its end, which may take minutes.
        letter: its message becomes a dead letter that this act fits; None: it has none.
    """

    fate: Fate
    flow: Flow = Flow.ORCHESTRATED
    cause: CauseKind | None = None
    waited_for: bool = True
    letter: LetterAct | None = None

    @property
    def title(self) -> str:
        more = [
            f"{self.flow}" if self.flow is Flow.CHOREOGRAPHED else "",
            (LETTER_TITLES.get(self.letter) if self.letter else TITLES.get(self.cause)) if self.cause else "",
        ]
        return ", ".join([self.fate.name, *filter(None, more)])


Cast = Mapping[UUID, Part]
"""What is played, by order."""


def list_parts() -> list[Part]:
    """Return what is placed: each fate once, and what is parked for causes that the flow makes."""
    return [
        *(
            Part(
                fate,
                cause=CauseKind.ANSWERED if fate.end is End.PARKED else None,
                waited_for=fate is not FATES["never"],
            )
            for fate in FATES.values()
        ),
        Part(FATES["fine"], cause=CauseKind.SILENT),
        Part(FATES["void-fails"], Flow.CHOREOGRAPHED, cause=CauseKind.ANSWERED),
        Part(FATES["fine"], Flow.CHOREOGRAPHED),
        Part(FATES["fine"], cause=CauseKind.LOST),
        Part(FATES["fine"], cause=CauseKind.UNDRIVABLE),
        *(Part(FATES["fine"], cause=CauseKind.SILENT, letter=act) for act in LETTER_TITLES),
    ]


def cast_failing(placed: Iterable[UUID], fate: Fate, flow: Flow) -> Cast:
    """Return what these orders play that nothing ends by itself; empty if their fate has another end."""
    part = Part(fate, flow, cause=CauseKind.ANSWERED)
    return dict.fromkeys(placed, part) if fate.end is End.PARKED else {}


@transaction.atomic
def place_cast(rng: random.Random) -> Cast:
    """Place the orders of the rehearsal, and return what each plays.

    Raises:
        FaultsRefused: not here.
        ServiceCallError, NotDelivered: there are no goods to order.
        SagaPaused: an operator holds up new orders.
        NotRehearsed: an order was refused.
    """
    require_sandbox()
    goods, customer = shelves.offer_goods(), orders.ensure_desk_customer()
    parts = [part for part in list_parts() if not part.letter or letters.has_dead_letters()]
    drawn = [orders.draw_order(goods, each.fate, flow=each.flow, rng=rng) for each in parts]
    cast: dict[UUID, Part] = {}
    for part, result in zip(parts, orders.place_orders(drawn, customer), strict=True):
        if not isinstance(result, Placed):
            raise NotRehearsed(f"the order of {part.title} was refused: {result}")
        cast[result.order] = part
    for saga in SagaInstance.objects.filter(subject__in=[str(order) for order in cast]):
        part = cast[UUID(saga.subject)]
        match part.cause:
            case CauseKind.SILENT:
                fall_silent(saga, part.letter)
            case CauseKind.LOST:
                lose_reservation(saga)
            case CauseKind.UNDRIVABLE:
                outgrow_chain(saga)
    return cast


def fall_silent(saga: SagaInstance, letter: LetterAct | None) -> None:
    """Let no service hear of a saga that is cancelled: its messages are lost, or the last becomes a dead letter."""
    lose_message(saga)
    runner.request_stop(saga.pk, code="cancelled", reason="as rehearsed")
    if letter:
        letters.spoil_message(saga, letter)
    else:
        lose_message(saga)


def lose_reservation(saga: SagaInstance) -> None:
    """Let a saga know of a reservation of which inventory knows nothing, as if inventory's database were set back.

    It is one that holds the stock first, and whose card was refused: else the money would have a part in it.
    """
    lose_message(saga)
    saga.version = PlaceOrderStockFirst.version
    saga.save(update_fields=["version"])
    steps = {each.command: each.name for each in PlaceOrderStockFirst.steps}
    for position, name in enumerate(steps.values()):
        SagaStep.objects.filter(saga=saga, name=name).update(position=position)
    log_step(saga, steps[ReserveStock], StepState.DONE, reply=encode(StockReserved(reservation=uuid4())))
    log_step(saga, steps[AuthorizePayment], StepState.REFUSED, refusal=CARD_REFUSED)
    cause = {"step": steps[AuthorizePayment], **CARD_REFUSED}
    runner.handle_triggers({saga.pk: StepFailed(steps[AuthorizePayment], "do")}, {saga.pk: cause})


def log_step(saga: SagaInstance, name: str, state: StepState, **told: object) -> None:
    SagaStep.objects.filter(saga=saga, name=name).update(logged=state, updated_at=Now(), **told)


def outgrow_chain(saga: SagaInstance) -> None:
    """Let a saga be due that is too large to be sent again, as if a release with other limits had taken it."""
    lose_message(saga)
    saga.data |= {"payment_token": "x" * 2 * LARGEST_CHAIN}
    saga.due_at = clock.now()
    saga.save(update_fields=["data", "due_at"])


def lose_message(saga: SagaInstance) -> None:
    """Forget what was promised of a saga in this transaction, as if the broker had lost it: no service hears of it."""
    OutboxMessage.objects.filter(saga=saga.pk).delete()


def carry_out(cast: Cast, progress: Callable[[int], None]) -> dict[UUID, str]:
    """Wait until each order has come to the end of its fate, and cut short the patience with those that park.

    Returns:
        the status of each order's flow.

    Raises:
        NotRehearsed: some did not get there.
    """
    require_sandbox()
    end = time.monotonic() + PATIENCE
    while True:
        status = read_statuses(cast)
        left = {order: part for order, part in cast.items() if not has_ended(part, status[order])}
        progress(len(cast) - len(left))
        if not left:
            return status
        if time.monotonic() > end:
            named = [
                f"{part.title} ({order} is {status[order]})" for order, part in [*left.items()][:MOST_NAMED]
            ]
            more = f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else ""
            raise NotRehearsed(f"not within {PATIENCE:.0f} s: {', '.join(named)}{more}")
        park_failing({order: part for order, part in left.items() if part.cause})
        time.sleep(LOOK_SECONDS)  # other processes' rows are watched, and a table gives no signal


def has_ended(part: Part, status: str) -> bool:
    if not part.waited_for:
        return True
    return status == Status.PARKED if part.cause else status in ENDED


def read_statuses(cast: Cast) -> dict[UUID, str]:
    flows = selectors.read_flows(list(Order.objects.filter(pk__in=cast)))
    return {order: flow.status for order, flow in flows.items()}


def park_failing(cast: Cast) -> None:
    """End the patience with those whose failure is known, and with the silent ones as soon as they are undone."""
    carried = Order.objects.filter(pk__in=cast, saga__isnull=False)
    sagas = {saga: order for order, saga in carried.values_list("pk", "saga") if saga}
    failing = SagaStep.objects.filter(saga__in=sagas, failure__isnull=False)
    told = set(failing.values_list("saga", flat=True))
    end_patience(
        SAGAS,
        {saga for saga, order in sagas.items() if saga in told or cast[order].cause is CauseKind.SILENT},
    )
    given_up = Choreography.objects.filter(pk__in=cast).exclude(failure={})
    end_patience(CHOREOGRAPHIES, set(given_up.values_list("pk", flat=True)))


def list_spoiled(cast: Cast) -> dict[UUID, LetterAct]:
    """Return the sagas of which a message becomes a dead letter, with the act that fits it."""
    carried = Order.objects.filter(pk__in=[order for order, part in cast.items() if part.letter])
    return {
        saga: act for order, saga in carried.values_list("pk", "saga") if saga and (act := cast[order].letter)
    }
