"""Every operation, every point that it passes, every way to die there. Pure.

What is listed here is what is tried: an operation that is missing is a hole in the proof.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from celery_config.failpoints import Point, Way

TASK = (Point.DELIVERED, Point.BEFORE_COMMIT, Point.COMMITTED, Point.NEXT_UNPUBLISHED, Point.UNACKED)
LINK = (*TASK, Point.UNCONFIRMED)
STEP = (*LINK, Point.BARRIER_INSERTED)
CALL = (*STEP, Point.BEFORE_CALL, Point.AFTER_CALL)
REFUSAL = (Point.ERRBACK_PENDING,)
EVENT = (Point.BEFORE_COMMIT, Point.COMMITTED, Point.UNACKED)
REQUEST = (Point.BEFORE_COMMIT, Point.COMMITTED, Point.RESPONSE_PENDING)
PUBLISH = (Point.UNCONFIRMED, Point.RELAYED, Point.BEFORE_COMMIT, Point.COMMITTED)
WATCH = (Point.DECIDED, Point.BEFORE_COMMIT, Point.COMMITTED)

CHOREOGRAPHED_ORDERS = "choreographed orders"
# Calls are made, and their answers written, whatever was heard.
RECEIVED = (
    Point.DELIVERED, Point.BEFORE_CALL, Point.AFTER_CALL, Point.BEFORE_COMMIT, Point.COMMITTED,
    Point.NEXT_UNPUBLISHED, Point.ERRBACK_PENDING,
)  # fmt: skip
HEARD_FIRST = (Point.BEFORE_COMMIT, Point.COMMITTED, Point.BARRIER_INSERTED, Point.UNACKED)
HEARD = (*HEARD_FIRST, Point.NEXT_UNPUBLISHED)

# Of choreographed orders.
CHOREOGRAPHY: dict[tuple[str, str], Sequence[Point]] = {
    ("order-relay", CHOREOGRAPHED_ORDERS): WATCH,
    ("payment-worker", "events.receive"): RECEIVED,
    ("payment-worker", "order.order_placed"): HEARD_FIRST,
    ("payment-worker", "shipment.shipment_arranged"): HEARD_FIRST,
    ("payment-worker", "payment.payment_failed"): HEARD_FIRST,
    ("payment-worker", "inventory.inventory_refused"): HEARD_FIRST,
    ("payment-worker", "shipment.shipment_failed"): HEARD_FIRST,
    ("payment-worker", "order.order_withdrawn"): HEARD_FIRST,
    ("inventory-worker", "events.receive"): (Point.DELIVERED,),
    ("inventory-worker", "payment.payment_received"): (*HEARD, Point.ERRBACK_PENDING),
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
            "payment.payment_released", "inventory.inventory_fetched", "inventory.inventory_refused",
            "inventory.inventory_issued", "inventory.inventory_returned", "shipment.shipment_arranged",
            "shipment.shipment_failed", "shipment.shipment_departed", "shipment.shipment_recalled",
        )
    },
}  # fmt: skip

# (process, operation): the points that it passes. Undos and the fence insert a row only where their action never came;
# that of the first step always did.
OPERATIONS: dict[tuple[str, str], Sequence[Point]] = {
    ("order-web", "POST orders"): REQUEST,
    ("order-web", "POST cancel"): REQUEST,
    ("order-relay", "order publish"): PUBLISH,
    ("payment-relay", "payment publish"): PUBLISH,
    ("inventory-relay", "inventory publish"): PUBLISH,
    ("shipment-relay", "shipment publish"): PUBLISH,
    ("order-relay", "watchdog"): WATCH,
    ("payment-worker", "payment.authorize_payment"): (*CALL, *REFUSAL),
    ("payment-worker", "payment.capture_payment"): (*CALL, *REFUSAL),
    ("payment-worker", "payment.fence"): STEP,
    ("payment-worker", "payment.void_payment"): (*LINK, Point.BEFORE_CALL, Point.AFTER_CALL),
    ("inventory-worker", "inventory.reserve_stock"): (*STEP, *REFUSAL),
    ("inventory-worker", "inventory.commit_stock"): STEP,
    ("inventory-worker", "inventory.release_stock"): STEP,
    ("shipment-worker", "shipment.book_shipment"): (*CALL, *REFUSAL),
    ("shipment-worker", "shipment.cancel_shipment"): CALL,
    ("shipment-worker", "shipment.dispatch_shipment"): CALL,
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
    **CHOREOGRAPHY,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One process dies once, there, so."""

    process: str
    operation: str
    point: Point
    way: Way

    def __str__(self) -> str:
        return f"{self.process}: {self.operation}, {self.point}: {self.way}"


def is_choreographed(case: Case) -> bool:
    """Whether it is an order without a saga that comes by there."""
    return (case.process, case.operation) in CHOREOGRAPHY


def every_case() -> list[Case]:
    return [
        Case(process, operation, point, way)
        for (process, operation), points in OPERATIONS.items()
        for point in points
        for way in Way
    ]


def sample(count: int, seed: int) -> list[Case]:
    """At least one case of each operation and of each point, then others by chance, `count` in all."""
    shuffled = every_case()
    random.Random(seed).shuffle(shuffled)
    chosen: dict[Case, None] = {}
    for key in ("operation", "point"):
        seen = {getattr(case, key) for case in chosen}
        for case in shuffled:
            if getattr(case, key) not in seen:
                seen.add(getattr(case, key))
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
