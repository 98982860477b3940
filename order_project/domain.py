"""States and rules of an order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from celery_config.contracts.inventory import Line

MAX_LINES = 675
MAX_QUANTITY = 100_000
# Far beyond any order, and within what carriers and providers can write down.
MAX_WEIGHT_GRAMS = 1_000_000_000
MAX_TOTAL = 1_000_000_000_000_000
PARCEL_GRAMS = 30_000


class OrderStatus(StrEnum):
    PLACED = "placed"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


class Flow(StrEnum):
    """How an order is carried: by the order service's saga, or by events alone."""

    ORCHESTRATED = "orchestrated"  # a saga sends one command after another
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
    """A product, and what is known of its currency at the payment provider.

    Args:
        payable: whether the provider takes the currency; None when it is not known yet.
        step: of the amounts that it takes, in minor units.
    """

    sku: str
    name: str
    price: int
    currency: str
    weight_grams: int
    active: bool
    payable: bool | None = None
    step: int = 1


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


def find_faults(lines: list[Line], catalogue: Mapping[str, CatalogueEntry], currency: str) -> list[LineFault]:
    """Return every fault of an order's lines, or none. `currency` is the order's."""
    if not lines:
        return [LineFault("empty_order", "An order has at least one line.")]
    if len(lines) > MAX_LINES:
        return [
            LineFault("too_many_lines", f"An order has at most {MAX_LINES} lines; this one has {len(lines)}.")
        ]
    faults = [fault for line in lines if (fault := find_line_fault(line, catalogue.get(line.sku), currency))]
    return (
        faults
        or find_total_faults(price_lines(lines, catalogue))
        or find_payment_faults(price_lines(lines, catalogue), catalogue[lines[0].sku])
    )


def find_payment_faults(lines: list[Priced], entry: CatalogueEntry) -> list[LineFault]:
    """Return why the payment provider would refuse the total; `entry` is any product of the order's one currency."""
    if entry.payable is False:
        return [LineFault("currency_not_supported", f"{entry.currency} cannot be paid here.")]
    if entry.payable and (total := sum_total(lines)) % entry.step:
        what = f"The total of {total} minor units of {entry.currency} cannot be paid"
        return [LineFault("amount_not_payable", f"{what}: it must be a multiple of {entry.step}.")]
    return []


def find_total_faults(lines: list[Priced]) -> list[LineFault]:
    """Return the faults of all lines together."""
    if sum_total(lines) == 0:
        return [
            LineFault("nothing_to_pay", "All of it is free, and an order is paid for: add something to pay.")
        ]
    if sum_total(lines) > MAX_TOTAL or sum_weight(lines) > MAX_WEIGHT_GRAMS:
        kilograms = MAX_WEIGHT_GRAMS // 1000
        limit = f"An order may cost {MAX_TOTAL:,} minor units and weigh {kilograms:,} kg at most; split it."
        return [LineFault("order_too_large", limit)]
    return []


def find_line_fault(line: Line, entry: CatalogueEntry | None, currency: str) -> LineFault | None:
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


def price_lines(lines: Iterable[Line], catalogue: Mapping[str, CatalogueEntry]) -> list[Priced]:
    """Price the lines from the catalogue, never from the client."""
    return [
        Priced(line.sku, entry.name, line.quantity, entry.price, entry.weight_grams)
        for line in lines
        for entry in [catalogue[line.sku]]
    ]


def sum_total(lines: Iterable[Priced]) -> int:
    """Return the total in minor units."""
    return sum(line.unit_price * line.quantity for line in lines)


def sum_weight(lines: Iterable[Priced]) -> int:
    """Return the weight in grams."""
    return sum(line.weight_grams * line.quantity for line in lines)


def count_parcels(weight_grams: int) -> int:
    """Return how many parcels of at most `PARCEL_GRAMS` are needed."""
    return max(1, -(-weight_grams // PARCEL_GRAMS))
