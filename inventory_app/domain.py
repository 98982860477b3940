"""The rules of stock. Pure: from the levels before, they give the levels after, or refuse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

from celery_config.common.grouping import join_some
from celery_config.contracts.inventory import Line
from celery_config.errors import Refused
from inventory_app.errors import RepeatedProduct, ReservationLost, ReservationMissing, StockBelowReserved

RESERVATION_IDS = uuid5(NAMESPACE_URL, "order-saga:reservation")
NAMED = 20
# Far above any real value, and far below what the columns hold.
MAX_WEIGHT_GRAMS = 10**9


class Change(StrEnum):
    """Why stock changed."""

    OPENING = "opening"
    RESERVE = "reserve"
    RELEASE = "release"
    COMMIT = "commit"
    ADJUST = "adjust"


class ReservationState(StrEnum):
    HELD = "held"
    RELEASED = "released"
    COMMITTED = "committed"


@dataclass(frozen=True, slots=True)
class Level:
    """The stock of one product in whole units: `reserved` of those `on_hand` are held for orders."""

    on_hand: int
    reserved: int
    active: bool = True

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductData:
    """The fields of a product that its owner sets; price in minor units of `currency` (ISO 4217)."""

    sku: str
    name: str
    price: int
    currency: str
    weight_grams: int
    active: bool = True


@dataclass(frozen=True, slots=True)
class Payable:
    """What the payment provider takes of a currency; `step` in minor units."""

    accepted: bool
    step: int


def explain_payment_fault(price: int, currency: str, payable: Payable | None) -> str:
    """Say why an order of one piece could not be paid; empty if it could, or if that is not known yet."""
    if payable is None:
        return ""
    if not payable.accepted:
        return f"the payment provider does not take {currency}: no order of this product is accepted"
    if price % payable.step:
        return (
            f"the payment provider takes {currency} in steps of {payable.step} minor units: an order whose total is"
            " no multiple of that is refused"
        )
    return ""


def reservation_id(order: UUID) -> UUID:
    """The id of an order's one reservation; it follows from the order."""
    return uuid5(RESERVATION_IDS, str(order))


def merge_lines(lines: Iterable[Line]) -> dict[str, int]:
    """Return the quantity of each SKU, sorted by SKU: the order in which rows are locked.

    Raises:
        Refused: there are no lines, or one has no positive quantity.
    """
    wanted: Counter[str] = Counter()
    for line in lines:
        if line.quantity < 1:
            raise Refused("invalid_lines", f"{line.sku}: quantity {line.quantity} is not positive")
        wanted[line.sku] += line.quantity
    if not wanted:
        raise Refused("invalid_lines", "the order has no lines")
    return dict(sorted(wanted.items()))


def reserve(levels: Mapping[str, Level], wanted: Mapping[str, int]) -> dict[str, Level]:
    """Return the levels with all of `wanted` held.

    Raises:
        Refused: unknown_sku, inactive_product or out_of_stock; the reason names the SKUs.
    """
    if unknown := [sku for sku in wanted if sku not in levels]:
        raise Refused("unknown_sku", f"no such product: {join_names(unknown)}")
    if inactive := [sku for sku in wanted if not levels[sku].active]:
        raise Refused("inactive_product", f"no longer sold: {join_names(inactive)}")
    short = [
        f"{sku} ({quantity} wanted, {levels[sku].available} available)"
        for sku, quantity in wanted.items()
        if quantity > levels[sku].available
    ]
    if short:
        raise Refused("out_of_stock", f"too few of {join_names(short)}")
    return {sku: replace(levels[sku], reserved=levels[sku].reserved + q) for sku, q in wanted.items()}


def release(level: Level, quantity: int) -> Level:
    """The level after held units become available again."""
    return replace(level, reserved=level.reserved - quantity)


def commit(level: Level, quantity: int) -> Level:
    """The level after held units left the warehouse."""
    return replace(level, on_hand=level.on_hand - quantity, reserved=level.reserved - quantity)


def adjust(level: Level, quantity: int) -> Level:
    """Return the level after a count found `quantity` more (or, negative, less) on hand.

    Raises:
        StockBelowReserved: less would be left than orders hold.
    """
    if level.on_hand + quantity < level.reserved:
        raise StockBelowReserved(
            f"{level.on_hand} on hand {quantity:+} is less than the {level.reserved} that orders hold"
        )
    return replace(level, on_hand=level.on_hand + quantity)


def check_ended(state: str | None, into: ReservationState, order: UUID) -> None:
    """Check that a reservation that is not held has already ended in the wanted state.

    Args:
        state: None when there is no reservation.

    Raises:
        ReservationMissing: there is none.
        ReservationLost: it ended the other way.
    """
    if state is None:
        raise ReservationMissing(f"order {order} has no reservation to be {into}")
    if state != into:
        raise ReservationLost(f"the reservation of order {order} is {state}; it cannot be {into}")


def check_unique(skus: Collection[str]) -> None:
    """Raise RepeatedProduct if a SKU comes twice."""
    if repeated := [sku for sku, times in Counter(skus).items() if times > 1]:
        raise RepeatedProduct(f"named more than once: {join_names(repeated)}")


def join_names(skus: list[str]) -> str:
    """The first SKUs of a list that may be long, as text."""
    return join_some(skus, NAMED)
