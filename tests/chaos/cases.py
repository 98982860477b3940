"""Every operation, every point that it passes, every way to die there. Pure.

What is listed here is what is tried: an operation that is missing is a hole in the proof.
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
CALL_MADE = (Point.BEFORE_CALL, Point.AFTER_CALL)
OUTSIDE = (*STEP, *CALL_MADE)
REFUSAL = (Point.ERRBACK_PENDING,)
EVENT = (Point.BEFORE_COMMIT, Point.COMMITTED, Point.UNACKED)
REQUEST = (Point.BEFORE_COMMIT, Point.COMMITTED, Point.RESPONSE_PENDING)
PUBLISH = (Point.UNCONFIRMED, Point.RELAYED, Point.BEFORE_COMMIT, Point.COMMITTED)
WATCH = (Point.DECIDED, Point.BEFORE_COMMIT, Point.COMMITTED)
Operations = dict[tuple[str, str], Sequence[Point]]


class Carried(StrEnum):
    """How an order is carried out."""

    OVER_BROKER = "over the broker"
    OVER_REST = "over REST"
    BY_EVENTS = "by events"


class Occasion(StrEnum):
    """What an order must have met, so that somebody comes by there."""

    NONE = ""
    SILENT = "of the silent"
    TOO_OLD = "of the overdue"
    HOPELESS = "of what is parked"
    TOO_LATE = "cancelled too late"


# (process, operation): the points that it passes. Undos and the fence insert a row only where their action never came;
# that of the first step always did.
OVER_BROKER: Operations = {
    ("order-web", "POST orders"): REQUEST,
    ("order-web", "POST cancel"): REQUEST,
    ("order-relay", "order publish"): PUBLISH,
    ("payment-relay", "payment publish"): PUBLISH,
    ("inventory-relay", "inventory publish"): PUBLISH,
    ("shipment-relay", "shipment publish"): PUBLISH,
    ("order-relay", "watchdog"): WATCH,
    ("payment-worker", "payment.authorize_payment"): (*OUTSIDE, *REFUSAL),
    ("payment-worker", "payment.capture_payment"): (*OUTSIDE, *REFUSAL),
    ("payment-worker", "payment.fence"): STEP,
    ("payment-worker", "payment.void_payment"): (*LINK, *CALL_MADE),
    ("inventory-worker", "inventory.reserve_stock"): (*STEP, *REFUSAL),
    ("inventory-worker", "inventory.commit_stock"): STEP,
    ("inventory-worker", "inventory.release_stock"): STEP,
    ("shipment-worker", "shipment.book_shipment"): (*OUTSIDE, *REFUSAL),
    ("shipment-worker", "shipment.cancel_shipment"): OUTSIDE,
    ("shipment-worker", "shipment.dispatch_shipment"): OUTSIDE,
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

# At the participant each command is a request; who is called and who calls may die at each.
ANSWERED = (Point.BEFORE_COMMIT, Point.COMMITTED, Point.RESPONSE_PENDING)
COMMANDS: Operations = {
    ("payment-web", "payment.authorize_payment"): (*ANSWERED, Point.BARRIER_INSERTED, *CALL_MADE),
    ("payment-web", "payment.capture_payment"): (*ANSWERED, Point.BARRIER_INSERTED, *CALL_MADE),
    ("payment-web", "payment.fence"): (*ANSWERED, Point.BARRIER_INSERTED),
    ("payment-web", "payment.void_payment"): (*ANSWERED, *CALL_MADE),
    ("inventory-web", "inventory.reserve_stock"): (*ANSWERED, Point.BARRIER_INSERTED),
    ("inventory-web", "inventory.commit_stock"): (*ANSWERED, Point.BARRIER_INSERTED),
    ("inventory-web", "inventory.release_stock"): (*ANSWERED, Point.BARRIER_INSERTED),
    ("shipment-web", "shipment.book_shipment"): (*ANSWERED, Point.BARRIER_INSERTED, *CALL_MADE),
    ("shipment-web", "shipment.cancel_shipment"): (*ANSWERED, Point.BARRIER_INSERTED, *CALL_MADE),
    ("shipment-web", "shipment.dispatch_shipment"): (*ANSWERED, Point.BARRIER_INSERTED, *CALL_MADE),
}
OVER_REST: Operations = {
    **COMMANDS,
    ("order-worker", CALL): (
        Point.DELIVERED, Point.NEXT_UNPUBLISHED, Point.UNCONFIRMED, Point.UNACKED, Point.ERRBACK_PENDING,
    ),
    **{("order-worker", f"{CALL} {task}"): (*CALL_MADE, Point.CIRCUIT_OPEN) for _, task in COMMANDS},
}  # fmt: skip

# Calls are made, and their answers written, whatever was heard.
RECEIVED = (
    *CALL_MADE,
    Point.DELIVERED,
    Point.BEFORE_COMMIT,
    Point.COMMITTED,
    Point.NEXT_UNPUBLISHED,
    *REFUSAL,
)
HEARD_FIRST = (Point.BEFORE_COMMIT, Point.COMMITTED, Point.BARRIER_INSERTED, Point.UNACKED)
HEARD = (*HEARD_FIRST, Point.NEXT_UNPUBLISHED)
DRIVE = "choreographed orders"
BY_EVENTS: Operations = {
    ("order-web", "POST orders"): REQUEST,
    ("order-web", "POST cancel"): REQUEST,
    ("order-web", "POST retry"): REQUEST,
    ("order-relay", "order publish"): PUBLISH,
    ("payment-relay", "payment publish"): PUBLISH,
    ("inventory-relay", "inventory publish"): PUBLISH,
    ("shipment-relay", "shipment publish"): PUBLISH,
    ("order-relay", DRIVE): WATCH,
    ("payment-worker", "events.receive"): RECEIVED,
    ("payment-worker", "order.order_placed"): HEARD_FIRST,
    ("payment-worker", "shipment.shipment_arranged"): HEARD_FIRST,
    ("payment-worker", "payment.payment_failed"): HEARD_FIRST,
    ("payment-worker", "inventory.inventory_refused"): HEARD_FIRST,
    ("payment-worker", "shipment.shipment_failed"): HEARD_FIRST,
    ("payment-worker", "order.order_withdrawn"): HEARD_FIRST,
    ("inventory-worker", "events.receive"): (Point.DELIVERED,),
    ("inventory-worker", "payment.payment_received"): (*HEARD, *REFUSAL),
    ("inventory-worker", "payment.payment_collected"): HEARD,
    ("inventory-worker", "payment.payment_released"): HEARD,
    ("shipment-worker", "events.receive"): RECEIVED,
    ("shipment-worker", "inventory.inventory_fetched"): HEARD_FIRST,
    ("shipment-worker", "inventory.inventory_issued"): HEARD_FIRST,
    ("shipment-worker", "payment.payment_released"): HEARD_FIRST,
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
    Carried.OVER_BROKER: OVER_BROKER,
    Carried.OVER_REST: OVER_REST,
    Carried.BY_EVENTS: BY_EVENTS,
}
# Where it is not enough that orders are placed, refused and cancelled.
OCCASIONS: dict[tuple[Carried, str], Sequence[Occasion]] = {
    (Carried.OVER_BROKER, "watchdog"): (Occasion.SILENT,),
    (Carried.BY_EVENTS, DRIVE): (Occasion.SILENT, Occasion.TOO_OLD, Occasion.HOPELESS),
    (Carried.BY_EVENTS, "POST retry"): (Occasion.HOPELESS,),
    (Carried.BY_EVENTS, "payment.payment_retained"): (Occasion.TOO_LATE,),
    (Carried.BY_EVENTS, "order.order_withdrawn"): (Occasion.NONE, Occasion.TOO_LATE),
}


@dataclass(frozen=True)
class Case:
    """One process dies once, there, so."""

    carried: Carried
    process: str
    operation: str
    point: Point
    way: Way
    occasion: Occasion = Occasion.NONE

    def __str__(self) -> str:
        about = f" {self.occasion}" if self.occasion else ""
        return f"{self.carried}: {self.process}: {self.operation}{about}, {self.point}: {self.way}"

    @property
    def failpoint(self) -> Failpoint:
        return Failpoint(self.point, self.operation, self.way)

    @property
    def setting(self) -> tuple[Carried, Occasion, bool]:
        """What cases that are tried together have in common; nobody else gets on while participants fall silent."""
        return self.carried, self.occasion, self.silencer is not None

    @property
    def silencer(self) -> Failpoint | None:
        """What must go wrong first: nobody is left alone who answers."""
        if self.point is not Point.CIRCUIT_OPEN:
            return None
        return Failpoint(Point.RESPONSE_PENDING, self.operation.removeprefix(CALL).strip(), Way.STOP)


def every_case() -> list[Case]:
    return [
        Case(carried, process, operation, point, way, occasion)
        for carried, operations in OPERATIONS.items()
        for (process, operation), points in operations.items()
        for occasion in OCCASIONS.get((carried, operation), (Occasion.NONE,))
        for point in points
        for way in Way
    ]


def sample(count: int, seed: int) -> list[Case]:
    """At least one case of each operation, point and occasion, then others by chance, `count` in all."""
    shuffled = every_case()
    random.Random(seed).shuffle(shuffled)
    chosen: dict[Case, None] = {}
    for key in (attrgetter("carried", "operation"), attrgetter("point"), attrgetter("carried", "occasion")):
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


def batches(cases: Sequence[Case], at_once: int) -> Iterator[list[Case]]:
    """Parts that are tried together: at most `at_once` in one process, of which at most one stands still."""
    left = list(cases)
    while left:
        batch: list[Case] = []
        for case in left:
            same = [other for other in batch if other.process == case.process]
            standing = any(other.way is Way.STOP for other in same)
            if len(same) < at_once and not (standing and case.way is Way.STOP):
                batch.append(case)
        left = [case for case in left if case not in batch]
        yield batch
