"""The bad day on purpose: one order of each fate, what waits for a human by each cause, and a dead letter.

Everything happens as on a real bad day: the sandbox refuses, fails or tells nonsense, and the services do what they do.
The day of patience before an order is parked is cut short (`celery_config.saga.engine.patience`). What the sandbox
cannot do is written to this service's own rows of the order that plays it, as the fault would have left them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

from celery import current_app
from django.db import transaction

from celery_config.broker.topology import route_task
from celery_config.contracts.base import encode
from celery_config.contracts.inventory import ReserveStock, StockReserved
from celery_config.contracts.payment import AuthorizePayment
from celery_config.db.functions import Now
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.outbox import writing
from celery_config.saga.causes import CauseKind
from celery_config.saga.engine import clock, runner
from celery_config.saga.engine.chains import LARGEST_CHAIN
from celery_config.saga.engine.machine import StepFailed
from celery_config.saga.engine.patience import end_patience
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.models import DeadLetter, SagaInstance, SagaStep
from celery_config.saga.states import ENDED, Status, StepState
from celery_config.sandbox.fates import FATES, End, Fate
from order_project import selectors
from order_project.choreography.flow import CHOREOGRAPHIES
from order_project.desk import orders, shelves
from order_project.desk.faults import require_sandbox
from order_project.domain import Flow
from order_project.models import Choreography, Order
from order_project.requests import Placed
from order_project.sagas.place_order import PlaceOrderStockFirst

PATIENCE = 110.0
"""Seconds that a rehearsal may take."""
LOOK_SECONDS = 0.2
LETTER_SECONDS = 30.0
CARD_REFUSED = {"code": "card_declined", "reason": "the card was declined"}
UNKNOWN_TASK = "shipment.weigh_parcel"
"""As if an order service were newer than the shipment service."""
TITLES = {
    CauseKind.SILENT: "no word of it",
    CauseKind.LOST: "inventory has lost its reservation",
    CauseKind.UNDRIVABLE: "too large to be sent again",
}
NOT_REHEARSED = {
    CauseKind.LATE: "it looks like an answer with an error, and the tries take minutes",
    CauseKind.BROKEN: "it looks like an answer with an error, and no card or address breaks a connection",
    CauseKind.UNABLE: "a service's own code fails, and no order makes it fail",
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
    """

    fate: Fate
    flow: Flow = Flow.ORCHESTRATED
    cause: CauseKind | None = None
    waited_for: bool = True

    @property
    def title(self) -> str:
        more = [
            f"{self.flow}" if self.flow is Flow.CHOREOGRAPHED else "",
            TITLES.get(self.cause, "") if self.cause else "",
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
    ]


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
    goods, customer, parts = shelves.offer_goods(), orders.ensure_desk_customer(), list_parts()
    drawn = [orders.draw_order(goods, each.fate, flow=each.flow, rng=rng) for each in parts]
    cast: dict[UUID, Part] = {}
    for part, result in zip(parts, orders.place_orders(drawn, customer), strict=True):
        if not isinstance(result, Placed):
            raise NotRehearsed(f"the order of {part.title} was refused: {result}")
        cast[result.order] = part
    for saga in SagaInstance.objects.filter(subject__in=[str(order) for order in cast]):
        match cast[UUID(saga.subject)].cause:
            case CauseKind.SILENT:
                fall_silent(saga)
            case CauseKind.LOST:
                lose_reservation(saga)
            case CauseKind.UNDRIVABLE:
                outgrow_chain(saga)
    return cast


def fall_silent(saga: SagaInstance) -> None:
    """Let no service hear of a saga that is cancelled, as if the broker had lost all its messages."""
    lose_message(saga)
    runner.request_stop(saga.pk, code="cancelled", reason="as rehearsed")
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


def has_dead_letters() -> bool:
    """Whether the broker keeps what no worker can run; the one of files does not."""
    return not str(current_app.conf.broker_url).startswith("filesystem")


def send_unknown_task() -> UUID:
    """Send the shipment service a task that it does not know, which becomes a dead letter; return its id."""
    require_sandbox()
    task_id = uuid4()
    options = {"task_id": str(task_id), **route_task("shipment", UNKNOWN_TASK, urgent=False)}
    with transaction.atomic():
        writing.add_task({"task": UNKNOWN_TASK, "args": [], "kwargs": {}, "options": options}, saga=None)
    return task_id


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
            missing = ", ".join(f"{part.title} ({order} is {status[order]})" for order, part in left.items())
            raise NotRehearsed(f"not within {PATIENCE:.0f} s: {missing}")
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


def is_kept(task_id: UUID) -> bool:
    """Whether a task has become a dead letter."""
    return DeadLetter.objects.filter(task_id=str(task_id)).exists()


def wait_for_letter(task_id: UUID) -> None:
    """Wait until a task has become a dead letter.

    Raises:
        NotRehearsed: it did not.
    """
    end = time.monotonic() + LETTER_SECONDS
    while not is_kept(task_id):
        if time.monotonic() > end:
            raise NotRehearsed(f"no dead letter of {UNKNOWN_TASK} within {LETTER_SECONDS:.0f} s")
        time.sleep(LOOK_SECONDS)  # the broker gives no signal to a command
