"""The writes of inventory; each call is one transaction, its events included.

Stock rows are locked in the order of their SKUs by whoever changes them, so that no two orders ever wait for
each other in a circle (rule 10). Rows that are locked here are written back by one upsert, however many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction

from celery_config.contracts.inventory import Line, ProductChanged
from celery_config.database import Now
from celery_config.messaging import outbox
from inventory_app import domain
from inventory_app.domain import Change, Level, ProductData, ReservationState
from inventory_app.errors import AdjustmentConflict, UnknownProduct
from inventory_app.models import Movement, Product, Reservation, ReservationLine, Stock

log = structlog.get_logger(__name__)
PRODUCT_FIELDS = [field.name for field in fields(ProductData) if field.name != "sku"]
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
def reserve_stock(*, order: UUID, lines: Iterable[Line]) -> UUID:
    """Hold every line of an order, or none; return the reservation's id.

    Raises:
        Refused: invalid_lines, unknown_sku, inactive_product, out_of_stock.
    """
    wanted = domain.merged(lines)
    before = locked_levels(wanted)
    after = domain.reserve(before, wanted)
    reservation = Reservation(id=domain.reservation_id(order), order=order, state=ReservationState.HELD)
    Reservation.objects.bulk_create([reservation])
    ReservationLine.objects.bulk_create(
        ReservationLine(reservation=reservation, product_id=sku, quantity=quantity)
        for sku, quantity in wanted.items()
    )
    write_levels(after)
    write_movements(Change.RESERVE, wanted, after, order=order)
    return reservation.id


@atomic_within_step
def release_stock(*, order: UUID) -> None:
    """Free what the order's reservation holds; a released one stays as it is.

    Raises:
        ReservationLost: there is none, or its goods have left.
    """
    close(order, ReservationState.RELEASED, Change.RELEASE, domain.release)


@atomic_within_step
def commit_stock(*, order: UUID) -> UUID:
    """Let what the order's reservation holds leave for good; return the reservation's id.

    Raises:
        ReservationLost: there is none, or it was released.
    """
    return close(order, ReservationState.COMMITTED, Change.COMMIT, domain.commit)


@transaction.atomic
def put_products(*, products: Sequence[ProductData]) -> Put:
    """Create the products that are new, change those that differ, and announce each of them.

    Raises:
        RepeatedProduct: a SKU comes twice.
    """
    wanted = {product.sku: product for product in sorted(products, key=lambda product: product.sku)}
    domain.each_once([product.sku for product in products])
    # Whoever else is creating one of them is waited for here; after the lock every row is there, and ours.
    Product.objects.bulk_create((row_of(product) for product in wanted.values()), ignore_conflicts=True)
    Stock.objects.bulk_create((Stock(product_id=sku) for sku in wanted), ignore_conflicts=True)
    found = Product.objects.select_for_update(no_key=True).filter(pk__in=list(wanted)).order_by("pk")
    touched = [row for row in found if row.version == 0 or differs(row, wanted[row.sku])]
    created = sum(row.version == 0 for row in touched)
    for row in touched:
        for name in PRODUCT_FIELDS:
            setattr(row, name, getattr(wanted[row.sku], name))
        row.version += 1
        row.updated_at = Now()
    if touched:
        Product.objects.bulk_create(
            touched,
            update_conflicts=True,
            unique_fields=["sku"],
            update_fields=[*PRODUCT_FIELDS, "version", "updated_at"],
        )
        outbox.add_events([product_changed(row) for row in touched])
    put = Put(created, len(touched) - created, len(wanted) - len(touched))
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
    rows = {row.pk: row for row in locked_stock(quantities)}
    if unknown := [sku for sku in quantities if sku not in rows]:
        raise UnknownProduct(f"no such product: {domain.named(sorted(unknown))}")
    first = {sku: quantities[sku] for sku, row in rows.items() if row.opening is None}
    after = {sku: domain.adjust(level_of(rows[sku]), quantity) for sku, quantity in first.items()}
    write_levels(after, opening=first)
    write_movements(Change.OPENING, first, after)
    opened = Opened(len(first), len(rows) - len(first))
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
    write_levels(after)
    (movement,) = write_movements(Change.ADJUST, {sku: quantity}, after, adjustment=adjustment, reason=reason)
    return movement


def close(order: UUID, into: ReservationState, kind: Change, change: Callable[[Level, int], Level]) -> UUID:
    """End a held reservation; the update of its state is also its lock."""
    reservation = Reservation.objects.filter(order=order)
    if reservation.filter(state=ReservationState.HELD).update(state=into, updated_at=Now()):
        lines = ReservationLine.objects.filter(reservation__order=order).order_by("product_id")
        held = dict(lines.values_list("product_id", "quantity"))
        before = locked_levels(held)
        after = {sku: change(before[sku], quantity) for sku, quantity in held.items()}
        write_levels(after)
        write_movements(kind, held, after, order=order)
    else:
        domain.check_ended(reservation.values_list("state", flat=True).first(), into, order)
    return domain.reservation_id(order)


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


def write_levels(levels: Mapping[str, Level], *, opening: Mapping[str, int] | None = None) -> None:
    """Write rows that are locked here: one upsert, of which only the update ever happens."""
    opening = opening or {}
    Stock.objects.bulk_create(
        (
            Stock(product_id=sku, on_hand=level.on_hand, reserved=level.reserved, opening=opening.get(sku))
            for sku, level in levels.items()
        ),
        update_conflicts=True,
        unique_fields=["product"],
        update_fields=["on_hand", "reserved", *(["opening"] if opening else [])],
    )


def write_movements(
    kind: Change, quantities: Mapping[str, int], after: Mapping[str, Level], **facts: Any
) -> list[Movement]:
    return Movement.objects.bulk_create(
        Movement(
            product_id=sku,
            kind=kind,
            quantity=quantity,
            on_hand=after[sku].on_hand,
            reserved=after[sku].reserved,
            **facts,
        )
        for sku, quantity in quantities.items()
    )


def row_of(product: ProductData) -> Product:
    return Product(sku=product.sku, **{name: getattr(product, name) for name in PRODUCT_FIELDS})


def differs(row: Product, product: ProductData) -> bool:
    return any(getattr(row, name) != getattr(product, name) for name in PRODUCT_FIELDS)


def product_changed(row: Product) -> dict[str, Any]:
    """The event of a row's new version: its full state."""
    event = ProductChanged(
        sku=row.sku, version=row.version, **{name: getattr(row, name) for name in PRODUCT_FIELDS}
    )
    return outbox.cloud_event(event, subject=row.sku, event_id=domain.product_event_id(row.sku, row.version))
