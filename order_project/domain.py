"""States and rules of an order. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from celery_config.contracts.base import Command, Event
from celery_config.contracts.inventory import (
    CommitStock,
    InventoryFetched,
    InventoryIssued,
    InventoryRefused,
    InventoryReturned,
    Line,
    ReserveStock,
)
from celery_config.contracts.order import OrderWithdrawn
from celery_config.contracts.payment import (
    AuthorizePayment,
    CapturePayment,
    PaymentCollected,
    PaymentFailed,
    PaymentReceived,
    PaymentReleased,
    PaymentRetained,
)
from celery_config.contracts.shipment import (
    BookShipment,
    DispatchShipment,
    ShipmentArranged,
    ShipmentDeparted,
    ShipmentFailed,
    ShipmentRecalled,
)
from celery_config.saga.states import Status

MAX_LINES = 675
MAX_QUANTITY = 100_000
# Far beyond any order, and within what carriers and providers can write down.
MAX_WEIGHT_GRAMS = 1_000_000_000
MAX_TOTAL = 1_000_000_000_000_000
PARCEL_GRAMS = 30_000
DEADLINE_PASSED = "deadline_passed"


class OrderStatus(StrEnum):
    PLACED = "placed"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


class Flow(StrEnum):
    """Who sees to it that an order is carried out."""

    ORCHESTRATED = "orchestrated"  # its saga asks one service after the other
    CHOREOGRAPHED = "choreographed"  # each service acts on what the others announce


class RefundStatus(StrEnum):
    ASKED = "asked"
    PAID = "paid"
    REFUSED = "refused"


@dataclass(frozen=True)
class Priced:
    """A line at the catalogue's price; `unit_price` in minor units."""

    sku: str
    name: str
    quantity: int
    unit_price: int
    weight_grams: int


@dataclass(frozen=True)
class CatalogueEntry:
    sku: str
    name: str
    price: int
    currency: str
    weight_grams: int
    active: bool


@dataclass(frozen=True)
class LineFault:
    """Why a line cannot be ordered; `code` is stable."""

    code: str
    detail: str


def merge_lines(lines: Iterable[Line]) -> list[Line]:
    """Lines of the same product become one; in the order of their first appearance."""
    quantities: dict[str, int] = {}
    for line in lines:
        quantities[line.sku] = quantities.get(line.sku, 0) + line.quantity
    return [Line(sku=sku, quantity=quantity) for sku, quantity in quantities.items()]


def faults_of(lines: list[Line], catalogue: Mapping[str, CatalogueEntry], currency: str) -> list[LineFault]:
    """Everything that is wrong with the lines of an order in `currency`."""
    if not lines:
        return [LineFault("empty_order", "An order has at least one line.")]
    if len(lines) > MAX_LINES:
        return [
            LineFault("too_many_lines", f"An order has at most {MAX_LINES} lines; this one has {len(lines)}.")
        ]
    faults = [fault for line in lines if (fault := fault_of(line, catalogue.get(line.sku), currency))]
    return faults or faults_of_sum(price(lines, catalogue))


def faults_of_sum(lines: list[Priced]) -> list[LineFault]:
    """What is wrong with the lines together."""
    if total(lines) == 0:
        return [
            LineFault("nothing_to_pay", "All of it is free, and an order is paid for: add something to pay.")
        ]
    if total(lines) > MAX_TOTAL or weight(lines) > MAX_WEIGHT_GRAMS:
        kilograms = MAX_WEIGHT_GRAMS // 1000
        limit = f"An order may cost {MAX_TOTAL:,} minor units and weigh {kilograms:,} kg at most; split it."
        return [LineFault("order_too_large", limit)]
    return []


def fault_of(line: Line, entry: CatalogueEntry | None, currency: str) -> LineFault | None:
    if not 1 <= line.quantity <= MAX_QUANTITY:
        return LineFault(
            "bad_quantity", f"{line.sku}: the quantity must be 1 to {MAX_QUANTITY}, not {line.quantity}."
        )
    if entry is None:
        return LineFault("unknown_sku", f"{line.sku}: no such product.")
    if not entry.active:
        return LineFault("inactive_product", f"{line.sku}: not sold any more.")
    if entry.currency != currency:
        return LineFault("wrong_currency", f"{line.sku} is sold in {entry.currency}, not in {currency}.")
    return None


def price(lines: Iterable[Line], catalogue: Mapping[str, CatalogueEntry]) -> list[Priced]:
    """Price the lines from the catalogue, never from the client."""
    return [
        Priced(line.sku, entry.name, line.quantity, entry.price, entry.weight_grams)
        for line in lines
        for entry in [catalogue[line.sku]]
    ]


def total(lines: Iterable[Priced]) -> int:
    """Minor units."""
    return sum(line.unit_price * line.quantity for line in lines)


def weight(lines: Iterable[Priced]) -> int:
    """Grams."""
    return sum(line.weight_grams * line.quantity for line in lines)


def parcels(weight_grams: int) -> int:
    """How many parcels of at most `PARCEL_GRAMS` it takes."""
    return max(1, -(-weight_grams // PARCEL_GRAMS))


def kinds(*events: type[Event]) -> tuple[str, ...]:
    return tuple(event.wire_name() for event in events)


# Of choreographed orders: what is seen when all goes well, when all is undone, and what speaks against an order, from
# what explains its end best.
ALL_DONE = kinds(
    PaymentReceived, InventoryFetched, ShipmentArranged, PaymentCollected, InventoryIssued, ShipmentDeparted
)
ALL_UNDONE = kinds(PaymentReleased, InventoryReturned, ShipmentRecalled)
REFUSALS = kinds(PaymentFailed, InventoryRefused, ShipmentFailed)
(WITHDRAWN, RECEIVED, RELEASED, COLLECTED, RETAINED) = kinds(
    OrderWithdrawn, PaymentReceived, PaymentReleased, PaymentCollected, PaymentRetained
)
# What is seen of each step of a choreographed order when it is done, and when it is undone.
SEEN_OF: dict[type[Command], tuple[str, ...]] = {
    AuthorizePayment: kinds(PaymentReceived, PaymentReleased),
    ReserveStock: kinds(InventoryFetched, InventoryReturned),
    BookShipment: kinds(ShipmentArranged, ShipmentRecalled),
    CapturePayment: kinds(PaymentCollected),
    CommitStock: kinds(InventoryIssued),
    DispatchShipment: kinds(ShipmentDeparted),
}
EVENTS_OF_AN_ORDER = {*ALL_DONE, *ALL_UNDONE, *REFUSALS, WITHDRAWN, RETAINED}


def standing(seen: Collection[str]) -> Status:
    """Where a choreographed order stands, by the kinds of events that were seen of it, in whatever order they came.

    What payment says decides: what it took is not given back, and what it gave back is not taken. Both at once never
    happen; if they do, a human must look.
    """
    there = set(seen)
    if there & {COLLECTED, RETAINED}:
        if is_contradicted(there):
            return Status.PARKED
        return Status.COMPLETED if there.issuperset(ALL_DONE) else Status.FORWARD
    if there.issuperset(ALL_UNDONE):
        return Status.COMPENSATED
    return Status.STOPPING if there & {WITHDRAWN, *REFUSALS, *ALL_UNDONE} else Status.RUNNING


def is_contradicted(seen: Collection[str]) -> bool:
    """Whether payment said both that it took the money and that it let go of it."""
    return RELEASED in seen and (COLLECTED in seen or RETAINED in seen)


def cause_of(seen: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Why an order is undone: somebody's wish, a refusal, its deadline; with the service that said it.

    Args:
        seen: the contents of the events, by kind.
    """
    wish = [WITHDRAWN] if seen.get(WITHDRAWN, {}).get("code") != DEADLINE_PASSED else []
    for kind in (*wish, *REFUSALS, WITHDRAWN, RELEASED):
        if content := seen.get(kind):
            return {"step": kind, "code": content.get("code", ""), "reason": content.get("reason", "")}
    return {}


def next_of(seen: Collection[str]) -> str:
    """The kind of event that an order which has not ended waits for: the first that was not seen."""
    back = standing(seen) in (Status.STOPPING, Status.COMPENSATED)
    return next((kind for kind in (ALL_UNDONE if back else ALL_DONE) if kind not in seen), "its end")
