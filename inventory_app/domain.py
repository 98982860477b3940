"""What stock may do. Pure: it sees rows as values and says what they become, or refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

from celery_config.contracts.inventory import Line
from celery_config.errors import Refused
from inventory_app.errors import RepeatedProduct, ReservationLost, StockBelowReserved

RESERVATION_IDS = uuid5(NAMESPACE_URL, "order-saga:reservation")
NAMED = 20
# Far over anything real, and far under what the columns bear.
MAX_QUANTITY = 10**12
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
    """The stock of one product in whole units: `reserved` of the `on_hand` are held for orders."""

    on_hand: int
    reserved: int
    active: bool = True

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductData:
    """A product as its owner describes it; price in minor units of `currency` (ISO 4217)."""

    sku: str
    name: str
    price: int
    currency: str
    weight_grams: int
    active: bool = True


def reservation_id(order: UUID) -> UUID:
    """The id of an order's one reservation."""
    return uuid5(RESERVATION_IDS, str(order))


def merged(lines: Iterable[Line]) -> dict[str, int]:
    """Return the quantity of each SKU, in the order in which rows are locked: by SKU.

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
        raise Refused("unknown_sku", f"no such product: {named(unknown)}")
    if inactive := [sku for sku in wanted if not levels[sku].active]:
        raise Refused("inactive_product", f"no longer sold: {named(inactive)}")
    short = [
        f"{sku} ({quantity} wanted, {levels[sku].available} available)"
        for sku, quantity in wanted.items()
        if quantity > levels[sku].available
    ]
    if short:
        raise Refused("out_of_stock", f"too few of {named(short)}")
    return {sku: replace(levels[sku], reserved=levels[sku].reserved + q) for sku, q in wanted.items()}


def release(level: Level, quantity: int) -> Level:
    """What was held is free again."""
    return replace(level, reserved=level.reserved - quantity)


def commit(level: Level, quantity: int) -> Level:
    """What was held has left for good."""
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
    """Check that a reservation which is not held has ended as is wanted now.

    Args:
        state: None when there is no reservation.

    Raises:
        ReservationLost: it has not.
    """
    if state is None:
        raise ReservationLost(f"order {order} has no reservation to be {into}")
    if state != into:
        raise ReservationLost(f"the reservation of order {order} is {state}; it cannot be {into}")


def each_once(skus: Collection[str]) -> None:
    """Check that no SKU comes twice.

    Raises:
        RepeatedProduct: one does.
    """
    if repeated := [sku for sku, times in Counter(skus).items() if times > 1]:
        raise RepeatedProduct(f"named more than once: {named(repeated)}")


def named(skus: list[str]) -> str:
    """The first SKUs of a list that may be long."""
    more = len(skus) - NAMED
    return ", ".join(skus[:NAMED]) + (f" and {more} more" if more > 0 else "")
