"""The cases of the crash matrix: each operation, at each point that it passes, in each way to fail. Pure.

Only what is listed here is tried: an operation that is missing is not tested.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter

from celery_config.failpoints.arming import Failpoint
from celery_config.failpoints.points import Point, Way
from celery_config.saga.engine.chains import CALL

TASK = (Point.DELIVERED, Point.BEFORE_COMMIT, Point.COMMITTED, Point.NEXT_UNPUBLISHED, Point.UNACKED)
LINK = (*TASK, Point.UNCONFIRMED)
STEP = (*LINK, Point.BARRIER_INSERTED)
OUTSIDE_CALL = (Point.BEFORE_CALL, Point.AFTER_CALL)
STEP_WITH_CALL = (*STEP, *OUTSIDE_CALL)
REFUSAL = (Point.ERRBACK_PENDING,)
EVENT = (Point.BEFORE_COMMIT, Point.COMMITTED, Point.UNACKED)
REQUEST = (Point.BEFORE_COMMIT, Point.COMMITTED, Point.RESPONSE_PENDING)
PUBLISH = (Point.UNCONFIRMED, Point.RELAYED, Point.BEFORE_COMMIT, Point.COMMITTED)
WATCH = (Point.DECIDED, Point.BEFORE_COMMIT, Point.COMMITTED)
Operations = dict[tuple[str, str], Sequence[Point]]


class Execution(StrEnum):
    """How an order is carried out."""

    OVER_BROKER = "over the broker"
    OVER_REST = "over REST"
    BY_EVENTS = "by events"


class Situation(StrEnum):
    """What must happen to an order first, so that a process reaches the point."""

    NONE = ""
    SILENT = "for silent orders"
    OVERDUE = "for overdue orders"
    PARKED = "for parked orders"
    TOO_LATE = "after a late cancel"
    WEBHOOK_FIRST = "with the webhook before the answer"
    ROW_LOST = "with the row of a done step lost"


# (process, operation): the points that it passes. An undo and the fence insert a barrier row only if their action never
# arrived; the action of the first step always arrives.
OVER_BROKER: Operations = {
    ("order-web", "POST orders"): REQUEST,
    ("order-web", "POST cancel"): REQUEST,
    ("order-relay", "order publish"): PUBLISH,
    ("payment-relay", "payment publish"): PUBLISH,
    ("inventory-relay", "inventory publish"): PUBLISH,
    ("shipment-relay", "shipment publish"): PUBLISH,
    ("order-relay", "watchdog"): WATCH,
    ("payment-worker", "payment.authorize_payment"): (*STEP_WITH_CALL, *REFUSAL),
    ("payment-worker", "payment.capture_payment"): (*STEP_WITH_CALL, *REFUSAL),
    ("payment-worker", "payment.fence"): STEP,
    ("payment-worker", "payment.void_payment"): (*LINK, *OUTSIDE_CALL),
    ("inventory-worker", "inventory.reserve_stock"): (*STEP, *REFUSAL),
    ("inventory-worker", "inventory.commit_stock"): STEP,
    ("inventory-worker", "inventory.release_stock"): STEP,
    ("shipment-worker", "shipment.book_shipment"): (*STEP_WITH_CALL, *REFUSAL),
    ("shipment-worker", "shipment.cancel_shipment"): STEP_WITH_CALL,
    ("shipment-worker", "shipment.dispatch_shipment"): STEP_WITH_CALL,
    ("order-worker", "order.step_failed"): TASK,
    ("order-worker", "order.complete"): TASK,
    ("order-worker", "order.compensated"): TASK,
    ("order-worker", "events.receive"): (Point.DELIVERED,),
    **{
        ("order-worker", event): EVENT
        for event in (
            "payment.payment_authorized", "payment.payment_captured", "payment.payment_voided",
            "payment.payment_refused", "payment.capture_refused", "inventory.stock_reserved",
            "inventory.stock_committed", "inventory.stock_released", "inventory.stock_refused",
            "inventory.product_changed", "shipment.shipment_booked", "shipment.shipment_cancelled",
            "shipment.shipment_dispatched", "shipment.shipment_refused",
        )
    },
}  # fmt: skip

# Over REST a participant takes each command as a request. The participant and its caller can both die at each.
ANSWER = (Point.BEFORE_COMMIT, Point.COMMITTED, Point.RESPONSE_PENDING)
COMMANDS: Operations = {
    ("payment-web", "payment.authorize_payment"): (*ANSWER, Point.BARRIER_INSERTED, *OUTSIDE_CALL),
    ("payment-web", "payment.capture_payment"): (*ANSWER, Point.BARRIER_INSERTED, *OUTSIDE_CALL),
    ("payment-web", "payment.fence"): (*ANSWER, Point.BARRIER_INSERTED),
    ("payment-web", "payment.void_payment"): (*ANSWER, *OUTSIDE_CALL),
    ("inventory-web", "inventory.reserve_stock"): (*ANSWER, Point.BARRIER_INSERTED),
    ("inventory-web", "inventory.commit_stock"): (*ANSWER, Point.BARRIER_INSERTED),
    ("inventory-web", "inventory.release_stock"): (*ANSWER, Point.BARRIER_INSERTED),
    ("shipment-web", "shipment.book_shipment"): (*ANSWER, Point.BARRIER_INSERTED, *OUTSIDE_CALL),
    ("shipment-web", "shipment.cancel_shipment"): (*ANSWER, Point.BARRIER_INSERTED, *OUTSIDE_CALL),
    ("shipment-web", "shipment.dispatch_shipment"): (*ANSWER, Point.BARRIER_INSERTED, *OUTSIDE_CALL),
}
OVER_REST: Operations = {
    **COMMANDS,
    ("order-worker", CALL): (
        Point.DELIVERED, Point.NEXT_UNPUBLISHED, Point.UNCONFIRMED, Point.UNACKED, Point.ERRBACK_PENDING,
    ),
    **{("order-worker", f"{CALL} {task}"): (*OUTSIDE_CALL, Point.CIRCUIT_OPEN) for _, task in COMMANDS},
}  # fmt: skip

# Outside calls and the writing of their answers belong to no event.
RECEIVE = (
    *OUTSIDE_CALL,
    Point.DELIVERED,
    Point.BEFORE_COMMIT,
    Point.COMMITTED,
    Point.NEXT_UNPUBLISHED,
    *REFUSAL,
)
FIRST_REACTION = (Point.BEFORE_COMMIT, Point.COMMITTED, Point.BARRIER_INSERTED, Point.UNACKED)
REACTION = (*FIRST_REACTION, Point.NEXT_UNPUBLISHED)
WATCH_CHOREOGRAPHED = "choreographed orders"
BY_EVENTS: Operations = {
    ("order-web", "POST orders"): REQUEST,
    ("order-web", "POST cancel"): REQUEST,
    ("order-web", "POST retry"): REQUEST,
    ("order-relay", "order publish"): PUBLISH,
    ("payment-relay", "payment publish"): PUBLISH,
    ("inventory-relay", "inventory publish"): PUBLISH,
    ("shipment-relay", "shipment publish"): PUBLISH,
    ("order-relay", WATCH_CHOREOGRAPHED): WATCH,
    ("payment-worker", "events.receive"): RECEIVE,
    ("payment-worker", "order.order_placed"): FIRST_REACTION,
    ("payment-worker", "shipment.shipment_arranged"): FIRST_REACTION,
    ("payment-worker", "payment.payment_failed"): FIRST_REACTION,
    ("payment-worker", "inventory.inventory_refused"): FIRST_REACTION,
    ("payment-worker", "shipment.shipment_failed"): FIRST_REACTION,
    ("payment-worker", "order.order_withdrawn"): FIRST_REACTION,
    ("inventory-worker", "events.receive"): (Point.DELIVERED,),
    ("inventory-worker", "payment.payment_received"): (*REACTION, *REFUSAL),
    ("inventory-worker", "payment.payment_collected"): REACTION,
    ("inventory-worker", "payment.payment_released"): REACTION,
    ("shipment-worker", "events.receive"): RECEIVE,
    ("shipment-worker", "inventory.inventory_fetched"): FIRST_REACTION,
    ("shipment-worker", "inventory.inventory_issued"): FIRST_REACTION,
    ("shipment-worker", "payment.payment_released"): FIRST_REACTION,
    **{
        ("order-worker", event): EVENT
        for event in (
            "payment.payment_received", "payment.payment_failed", "payment.payment_collected",
            "payment.payment_released", "payment.payment_retained", "inventory.inventory_fetched",
            "inventory.inventory_refused", "inventory.inventory_issued", "inventory.inventory_returned",
            "shipment.shipment_arranged", "shipment.shipment_failed", "shipment.shipment_departed",
            "shipment.shipment_recalled",
        )
    },
}  # fmt: skip

OPERATIONS = {
    Execution.OVER_BROKER: OVER_BROKER,
    Execution.OVER_REST: OVER_REST,
    Execution.BY_EVENTS: BY_EVENTS,
}
# For operations that need more than orders that are placed, refused and cancelled.
SITUATIONS: dict[tuple[Execution, str], Sequence[Situation]] = {
    (Execution.OVER_BROKER, "watchdog"): (Situation.SILENT,),
    (Execution.BY_EVENTS, WATCH_CHOREOGRAPHED): (Situation.SILENT, Situation.OVERDUE, Situation.PARKED),
    (Execution.BY_EVENTS, "POST retry"): (Situation.PARKED,),
    (Execution.BY_EVENTS, "payment.payment_retained"): (Situation.TOO_LATE,),
    (Execution.BY_EVENTS, "order.order_withdrawn"): (Situation.NONE, Situation.TOO_LATE),
}

# A webhook has told the outcome when the answer of the call comes, done or refused. Whatever fails then, the outcome
# must reach the others: along the chain, or as the event of a choreographed order.
CALLS_OUTSIDE = (
    ("payment", "payment.authorize_payment"), ("payment", "payment.capture_payment"),
    ("payment", "payment.void_payment"), ("shipment", "shipment.book_shipment"),
    ("shipment", "shipment.cancel_shipment"), ("shipment", "shipment.dispatch_shipment"),
)  # fmt: skip
REFUSABLE = ("payment.authorize_payment", "shipment.book_shipment")
WEBHOOK_FIRST: dict[Execution, Operations] = {
    Execution.OVER_BROKER: {
        (f"{service}-worker", task): (
            Point.AFTER_CALL, Point.NEXT_UNPUBLISHED, *(REFUSAL if task in REFUSABLE else ()),
        )
        for service, task in CALLS_OUTSIDE
    },
    Execution.OVER_REST: {
        (f"{service}-web", task): (Point.AFTER_CALL, Point.RESPONSE_PENDING) for service, task in CALLS_OUTSIDE
    },
    Execution.BY_EVENTS: {
        (f"{service}-worker", "events.receive"): (Point.AFTER_CALL, Point.NEXT_UNPUBLISHED, *REFUSAL)
        for service in ("payment", "shipment")
    },
}  # fmt: skip

# A participant has no row of a step that is known to be done, as after a restore: it says so, and the order is parked.
REPORT_OF_LOSS = "report of a lost step"
REPORT = (Point.BEFORE_COMMIT, Point.COMMITTED)
ROW_LOST: dict[Execution, Operations] = {
    Execution.OVER_BROKER: {("payment-worker", REPORT_OF_LOSS): REPORT, ("order-worker", "order.step_lost"): TASK},
    Execution.OVER_REST: {("payment-web", REPORT_OF_LOSS): REPORT},
    Execution.BY_EVENTS: {
        ("payment-worker", REPORT_OF_LOSS): REPORT, ("order-worker", "step.step_gave_up"): EVENT,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One process fails once, at this point, in this way."""

    execution: Execution
    process: str
    operation: str
    point: Point
    way: Way
    situation: Situation = Situation.NONE

    def __str__(self) -> str:
        about = f" {self.situation}" if self.situation else ""
        return f"{self.execution}: {self.process}: {self.operation}{about}, {self.point}: {self.way}"

    @property
    def failpoint(self) -> Failpoint:
        return Failpoint(self.point, self.operation, self.way)

    @property
    def group(self) -> tuple[Execution, Situation, bool]:
        """What cases must share to be tried together: while a participant is silent, no other case makes progress."""
        return self.execution, self.situation, self.silencer is not None

    @property
    def silencer(self) -> Failpoint | None:
        """The failpoint that must fire first: a circuit opens only for a participant that does not answer."""
        if self.point is not Point.CIRCUIT_OPEN:
            return None
        return Failpoint(Point.RESPONSE_PENDING, self.operation.removeprefix(CALL).strip(), Way.STOP)


def list_cases() -> list[Case]:
    return [
        Case(execution, process, operation, point, way, situation)
        for execution, operations in OPERATIONS.items()
        for (process, operation), points in operations.items()
        for situation in SITUATIONS.get((execution, operation), (Situation.NONE,))
        for point in points
        for way in Way
    ] + [
        Case(execution, process, operation, point, way, situation)
        for situation, executions in (
            (Situation.WEBHOOK_FIRST, WEBHOOK_FIRST),
            (Situation.ROW_LOST, ROW_LOST),
        )
        for execution, operations in executions.items()
        for (process, operation), points in operations.items()
        for point in points
        for way in Way
    ]


def draw_cases(count: int, seed: int) -> list[Case]:
    """Draw `count` cases: at least one of each operation, point and situation, then others."""
    shuffled = list_cases()
    random.Random(seed).shuffle(shuffled)
    chosen: dict[Case, None] = {}
    for key in (
        attrgetter("execution", "operation"),
        attrgetter("point"),
        attrgetter("execution", "situation"),
    ):
        seen = {key(case) for case in chosen}
        for case in shuffled:
            if key(case) not in seen:
                seen.add(key(case))
                chosen[case] = None
    for case in shuffled:
        if len(chosen) >= count:
            break
        chosen[case] = None
    return list(chosen)


def split_batches(cases: Sequence[Case], at_once: int) -> Iterator[list[Case]]:
    """Yield cases to try together: at most `at_once` in one process, and at most one of them stops it."""
    left = list(cases)
    while left:
        batch: list[Case] = []
        for case in left:
            same = [other for other in batch if other.process == case.process]
            is_stopped = any(other.way is Way.STOP for other in same)
            if len(same) < at_once and not (is_stopped and case.way is Way.STOP):
                batch.append(case)
        left = [case for case in left if case not in batch]
        yield batch
