"""The writes of inventory; each call is one transaction, its events included.

Stock rows are locked in the order of their SKUs by whoever changes them, so that no two orders ever wait for
each other in a circle (rule 10). Rows that are locked here are written back with one statement, however many.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction

from celery_config.contracts.inventory import Line
from celery_config.db import bulk
from celery_config.db.functions import Now
from celery_config.errors import Refused
from celery_config.messaging.outbox import notifier
from inventory_app import domain
from inventory_app.domain import Change, Level, ProductData, ReservationState
from inventory_app.errors import AdjustmentConflict, UnknownProduct
from inventory_app.models import Movement, Product, Reservation, ReservationLine, Stock

log = structlog.get_logger(__name__)
MOVEMENT = ("product", "kind", "quantity", "order", "on_hand", "reserved", "adjustment", "reason")
PRODUCT_FIELDS = [each.name for each in fields(ProductData) if each.name != "sku"]
# A step of a saga has a savepoint of its own around these; a second one would cost two statements an order.
atomic_within_step = transaction.atomic(savepoint=False)


@dataclass(frozen=True, slots=True)
class Put:
    """What became of the products of one call."""

    created: int
    changed: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class Opened:
    """What became of the opening stock of one call."""

    booked: int
    there_already: int


@atomic_within_step
def reserve_stock(orders: Mapping[UUID, Iterable[Line]]) -> dict[UUID, UUID | Refused]:
    """Hold every line of an order, or none; return each order's reservation, or why there is none.

    Refusals: invalid_lines, unknown_sku, inactive_product, out_of_stock. Of several orders that want the last pieces
    the first gets them.
    """
    outcomes: dict[UUID, UUID | Refused] = {}
    wanted: dict[UUID, dict[str, int]] = {}
    for order, lines in orders.items():
        try:
            wanted[order] = domain.merged(lines)
        except Refused as refusal:
            outcomes[order] = refusal
    levels = locked_levels({sku for quantities in wanted.values() for sku in quantities})
    held: dict[UUID, dict[str, int]] = {}
    moved = Moved()
    for order, quantities in wanted.items():
        try:
            after = domain.reserve(levels, quantities)
        except Refused as refusal:
            outcomes[order] = refusal
            continue
        levels |= after
        held[order], outcomes[order] = quantities, domain.reservation_id(order)
        moved.add(Change.RESERVE, quantities, after, order=order)
    bulk.execute(*reservations(held), *moved.changes())
    return outcomes


def reservations(held: Mapping[UUID, Mapping[str, int]]) -> list[bulk.Statement]:
    """What writes the reservations of orders, quantities by SKU."""
    made = [
        Reservation(id=domain.reservation_id(order), order=order, state=ReservationState.HELD)
        for order in held
    ]
    lines = [
        ReservationLine(reservation_id=domain.reservation_id(order), product_id=sku, quantity=quantity)
        for order, quantities in held.items()
        for sku, quantity in quantities.items()
    ]
    return [
        *bulk.insert_statement(Reservation, made, ("id", "order", "state")),
        *bulk.insert_statement(ReservationLine, lines, ("reservation", "product", "quantity")),
    ]


@atomic_within_step
def release_stock(orders: Collection[UUID]) -> None:
    """Free what the orders' reservations hold; a released one stays as it is.

    Raises:
        ReservationLost: there is none, or its goods have left.
    """
    close(orders, ReservationState.RELEASED, Change.RELEASE, domain.release)


@atomic_within_step
def commit_stock(orders: Collection[UUID]) -> dict[UUID, UUID]:
    """Let what the orders' reservations hold leave for good; return the reservations' ids.

    Raises:
        ReservationLost: there is none, or it was released.
    """
    close(orders, ReservationState.COMMITTED, Change.COMMIT, domain.commit)
    return {order: domain.reservation_id(order) for order in orders}


@transaction.atomic
def put_products(*, products: Sequence[ProductData]) -> Put:
    """Create the products that are new, and change those that differ; the table's trigger announces each of them.

    Raises:
        RepeatedProduct: a SKU comes twice.
    """
    wanted = {product.sku: product for product in sorted(products, key=lambda product: product.sku)}
    domain.each_once([product.sku for product in products])
    # Whoever else is creating one of them is waited for here; after the lock every row is there, and ours.
    new = [row_of(product) for product in wanted.values()]
    created = set(bulk.insert_new(Product, new, ("sku", *PRODUCT_FIELDS), returning="sku"))
    Stock.objects.bulk_create((Stock(product_id=sku) for sku in wanted), ignore_conflicts=True)
    others = [sku for sku in wanted if sku not in created]
    found = Product.objects.select_for_update(no_key=True).filter(pk__in=others).order_by("pk")
    changed = [row_of(wanted[row.sku]) for row in found if differs(row, wanted[row.sku])]
    bulk.update(Product, changed, PRODUCT_FIELDS)
    transaction.on_commit(notifier.notify_relay)
    put = Put(len(created), len(changed), len(others) - len(changed))
    log.info("products put", **asdict(put))
    return put


@transaction.atomic
def book_opening_stock(*, quantities: Mapping[str, int]) -> Opened:
    """Book the first stock of each product, once: a product that has its opening stock keeps it.

    Args:
        quantities: units, by SKU.

    Raises:
        UnknownProduct: a SKU is no product's; nothing is booked.
    """
    stock = {row.pk: row for row in locked_stock(quantities)}
    if unknown := [sku for sku in quantities if sku not in stock]:
        raise UnknownProduct(f"no such product: {domain.named(sorted(unknown))}")
    first = {sku: quantities[sku] for sku, row in stock.items() if row.opening is None}
    after = {sku: domain.adjust(level_of(stock[sku]), quantity) for sku, quantity in first.items()}
    moved = Moved()
    moved.add(Change.OPENING, first, after)
    bulk.execute(*moved.changes(opening=first))
    opened = Opened(len(first), len(stock) - len(first))
    log.info("opening stock booked", **asdict(opened))
    return opened


@transaction.atomic
def adjust_stock(*, adjustment: UUID, sku: str, quantity: int, reason: str) -> Movement:
    """Correct the stock of one product after a count or a loss; return the movement.

    Args:
        adjustment: its id, chosen by the caller; a repeat adjusts nothing and returns the same movement.
        quantity: units to add; negative to take away.

    Raises:
        UnknownProduct: the SKU is no product's.
        StockBelowReserved: less would be left than orders hold.
        AdjustmentConflict: the id belongs to another adjustment.
    """
    before = locked_levels([sku])
    if sku not in before:
        raise UnknownProduct(f"no such product: {sku}")
    if earlier := Movement.objects.filter(adjustment=adjustment).first():
        if (earlier.product_id, earlier.quantity) != (sku, quantity):
            raise AdjustmentConflict(f"{adjustment} was {earlier.quantity:+} of {earlier.product_id}")
        return earlier
    after = {sku: domain.adjust(before[sku], quantity)}
    moved = Moved()
    moved.add(Change.ADJUST, {sku: quantity}, after, adjustment=adjustment, reason=reason)
    bulk.execute(*moved.changes())
    return Movement.objects.get(adjustment=adjustment)


def close(
    orders: Collection[UUID], into: ReservationState, kind: Change, change: Callable[[Level, int], Level]
) -> None:
    """End held reservations, each once; their rows are locked before their goods' are."""
    states = dict(
        Reservation.objects.select_for_update()
        .filter(order__in=list(orders))
        .order_by("order")
        .values_list("order", "state")
    )
    closing = [order for order in orders if states.get(order) == ReservationState.HELD]
    for order in orders:
        if order not in closing:
            domain.check_ended(states.get(order), into, order)
    if not closing:
        return
    Reservation.objects.filter(order__in=closing).update(state=into, updated_at=Now())
    lines = ReservationLine.objects.filter(reservation__order__in=closing).order_by("product_id")
    held: dict[UUID, dict[str, int]] = {order: {} for order in closing}
    for order, sku, quantity in lines.values_list("reservation__order", "product_id", "quantity"):
        held[order][sku] = quantity
    levels = locked_levels({sku for quantities in held.values() for sku in quantities})
    moved = Moved()
    for order, quantities in held.items():
        after = {sku: change(levels[sku], quantity) for sku, quantity in quantities.items()}
        levels |= after
        moved.add(kind, quantities, after, order=order)
    bulk.execute(*moved.changes())


@dataclass
class Moved:
    """Changes of stock under one lock: what the levels are in the end, and a movement for each change."""

    levels: dict[str, Level] = field(default_factory=dict)
    movements: list[Movement] = field(default_factory=list)

    def add(
        self, kind: Change, quantities: Mapping[str, int], after: Mapping[str, Level], **facts: Any
    ) -> None:
        self.levels |= after
        self.movements += [
            Movement(
                product_id=sku,
                kind=kind,
                quantity=quantity,
                on_hand=after[sku].on_hand,
                reserved=after[sku].reserved,
                **facts,
            )
            for sku, quantity in quantities.items()
        ]

    def changes(self, *, opening: Mapping[str, int] | None = None) -> list[bulk.Statement]:
        """What writes all of it; the stock rows are locked here."""
        opening = opening or {}
        changed = [
            Stock(product_id=sku, on_hand=level.on_hand, reserved=level.reserved, opening=opening.get(sku))
            for sku, level in self.levels.items()
        ]
        return [
            *bulk.update_statement(
                Stock, changed, ["on_hand", "reserved", *(["opening"] if opening else [])]
            ),
            *bulk.insert_statement(Movement, self.movements, MOVEMENT),
        ]


def locked_stock(skus: Iterable[str]) -> list[Stock]:
    """The stock rows of these SKUs with their products, locked in the one order."""
    return list(
        Stock.objects.select_for_update(of=("self",))
        .select_related("product")
        .filter(pk__in=list(skus))
        .order_by("pk")
    )


def locked_levels(skus: Iterable[str]) -> dict[str, Level]:
    return {row.pk: level_of(row) for row in locked_stock(skus)}


def level_of(row: Stock) -> Level:
    return Level(row.on_hand, row.reserved, row.product.active)


def row_of(product: ProductData) -> Product:
    return Product(sku=product.sku, **{name: getattr(product, name) for name in PRODUCT_FIELDS})


def differs(row: Product, product: ProductData) -> bool:
    return any(getattr(row, name) != getattr(product, name) for name in PRODUCT_FIELDS)
