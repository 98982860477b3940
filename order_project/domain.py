"""States and rules of an order. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from celery_config.contracts.inventory import MAX_PRICE, Line
from celery_config.contracts.payment import MAX_AMOUNT
from celery_config.saga.operations.wording import describe_status
from celery_config.saga.states import Status

MAX_LINES = 675
MAX_QUANTITY = 100_000
# Far beyond any order, and within what carriers and providers can write down.
MAX_WEIGHT_GRAMS = 1_000_000_000
PARCEL_GRAMS = 30_000


class OrderStatus(StrEnum):
    PLACED = "placed"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


class ShownStatus(StrEnum):
    """An order's status as people and clients see it: where its flow stands tells more than its own row."""

    PLACED = "placed"
    STOPPING = "stopping"  # it is being undone
    FINISHING = "finishing"  # past the point of no return
    PARKED = "parked"  # a person has to decide
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


SHOWN_OF_FLOWS = {
    Status.STOPPING.value: ShownStatus.STOPPING,
    Status.FORWARD.value: ShownStatus.FINISHING,
    Status.PARKED.value: ShownStatus.PARKED,
}


LIKE_FLOWS = {
    ShownStatus.PLACED: Status.RUNNING,
    ShownStatus.STOPPING: Status.STOPPING,
    ShownStatus.FINISHING: Status.FORWARD,
    ShownStatus.PARKED: Status.PARKED,
    ShownStatus.CONFIRMED: Status.COMPLETED,
    ShownStatus.CANCELLED: Status.COMPENSATED,
}


def describe_shown_status(status: ShownStatus) -> str:
    """Return an order's status in the words of its flow's."""
    return describe_status(LIKE_FLOWS[status])


def derive_shown_status(order: str, flow: str | None) -> ShownStatus:
    """Return the status to show.

    Args:
        order: the status of the order's row.
        flow: that of its saga or choreography; None: it has none, or none any more.
    """
    # The row that ends the flow ends the order, too: an order that has ended is shown as it ended.
    told = SHOWN_OF_FLOWS.get(flow or "") if order == OrderStatus.PLACED else None
    return told or ShownStatus(order)


class Flow(StrEnum):
    """How an order is carried: by the order service's saga, or by events alone."""

    ORCHESTRATED = "orchestrated"  # a saga sends one command after another
    CHOREOGRAPHED = "choreographed"  # each service acts on what the others announce


class RefundStatus(StrEnum):
    ASKED = "asked"
    PAID = "paid"
    REFUSED = "refused"


class PriceSource(StrEnum):
    """Where the price of a line comes from."""

    CATALOGUE = "catalogue"
    AGREED = "agreed"  # staff or an invoice gave it
    RECOVERED = "recovered"  # the catalogue's at the recovery of a lost order, whose total may be another


@dataclass(frozen=True, kw_only=True)
class RequestLine(Line):
    """A line that is asked for; `unit_price`, in minor units, is the agreed price, and None the catalogue's."""

    unit_price: int | None = None


@dataclass(frozen=True)
class Priced:
    """A line with its price; `unit_price` in minor units."""

    sku: str
    name: str
    quantity: int
    unit_price: int
    weight_grams: int
    price_source: PriceSource = PriceSource.CATALOGUE


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


LineFaultCode = Literal[
    "amount_not_payable", "bad_price", "bad_quantity", "currency_not_supported", "empty_order", "inactive_product",
    "nothing_to_pay", "order_too_large", "too_many_lines", "unknown_sku", "wrong_currency",
]  # fmt: skip


@dataclass(frozen=True)
class LineFault:
    """Why a line cannot be ordered; `code` is stable."""

    code: LineFaultCode
    detail: str


def merge_lines(lines: Iterable[Line]) -> list[Line]:
    """Lines of the same product become one; in the order of their first appearance."""
    return [Line(sku=sku, quantity=quantity) for sku, quantity in count_units(lines).items()]


def merge_request_lines(lines: Iterable[RequestLine]) -> list[RequestLine]:
    """Lines of the same product at the same price become one; in the order of their first appearance."""
    quantities: dict[tuple[str, int | None], int] = {}
    for line in lines:
        quantities[line.sku, line.unit_price] = quantities.get((line.sku, line.unit_price), 0) + line.quantity
    return [
        RequestLine(sku=sku, quantity=quantity, unit_price=price)
        for (sku, price), quantity in quantities.items()
    ]


def count_units(lines: Iterable[Line]) -> Counter[str]:
    """Return the quantity of each product, over all its prices."""
    units: Counter[str] = Counter()
    for line in lines:
        units[line.sku] += line.quantity
    return units


def find_faults(
    lines: list[RequestLine], catalogue: Mapping[str, CatalogueEntry], currency: str
) -> list[LineFault]:
    """Return every fault of an order's lines, or none. `currency` is the order's."""
    if not lines:
        return [LineFault("empty_order", "An order has at least one line.")]
    if len(lines) > MAX_LINES:
        return [
            LineFault("too_many_lines", f"An order has at most {MAX_LINES} lines; this one has {len(lines)}.")
        ]
    units = count_units(lines)
    faults = [
        fault
        for line in lines
        if (fault := find_line_fault(line, units[line.sku], catalogue.get(line.sku), currency))
    ]
    if faults:
        return faults
    priced = price_lines(lines, catalogue)
    return find_total_faults(priced) or find_payment_faults(priced, catalogue[lines[0].sku])


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
    if sum_total(lines) > MAX_AMOUNT or sum_weight(lines) > MAX_WEIGHT_GRAMS:
        kilograms = MAX_WEIGHT_GRAMS // 1000
        limit = f"An order may cost {MAX_AMOUNT:,} minor units and weigh {kilograms:,} kg at most; split it."
        return [LineFault("order_too_large", limit)]
    return []


def find_line_fault(
    line: RequestLine, units: int, entry: CatalogueEntry | None, currency: str
) -> LineFault | None:
    """Return what is wrong with a line, or None. `units`: the product's quantity, over all its prices."""
    if line.quantity < 1 or units > MAX_QUANTITY:
        return LineFault(
            "bad_quantity", f"{line.sku}: the quantity must be 1 to {MAX_QUANTITY}, not {units}."
        )
    if line.unit_price is not None and not 0 <= line.unit_price <= MAX_PRICE:
        return LineFault(
            "bad_price",
            f"{line.sku}: an agreed price is 0 to {MAX_PRICE:,} minor units, not {line.unit_price:,}.",
        )
    if entry is None:
        return LineFault("unknown_sku", f"{line.sku}: no such product.")
    if not entry.active:
        return LineFault("inactive_product", f"{line.sku}: not sold any more.")
    if entry.currency != currency:
        return LineFault("wrong_currency", f"{line.sku} is sold in {entry.currency}, not in {currency}.")
    return None


def price_lines(lines: Iterable[RequestLine], catalogue: Mapping[str, CatalogueEntry]) -> list[Priced]:
    """Give each line its agreed price or the catalogue's."""
    return [price_line(line, catalogue[line.sku]) for line in lines]


def price_line(line: RequestLine, entry: CatalogueEntry) -> Priced:
    if line.unit_price is None:
        return Priced(line.sku, entry.name, line.quantity, entry.price, entry.weight_grams)
    return Priced(
        line.sku, entry.name, line.quantity, line.unit_price, entry.weight_grams, PriceSource.AGREED
    )


def sum_total(lines: Iterable[Priced]) -> int:
    """Return the total in minor units."""
    return sum(line.unit_price * line.quantity for line in lines)


def sum_weight(lines: Iterable[Priced]) -> int:
    """Return the weight in grams."""
    return sum(line.weight_grams * line.quantity for line in lines)


def count_parcels(weight_grams: int) -> int:
    """Return how many parcels of at most `PARCEL_GRAMS` are needed."""
    return max(1, -(-weight_grams // PARCEL_GRAMS))
