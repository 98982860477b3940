"""The writes of the inventory service; each is one transaction with its events, or a part of its caller's.

Every change locks the stock rows in the order of their SKUs, so that no two orders wait for each other in a circle
(rule 10, locks and retries). One statement writes all locked rows back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import QuerySet

from celery_config.contracts.inventory import Line
from celery_config.db import bulk
from celery_config.db.functions import Now
from celery_config.errors import Refused
from celery_config.messaging.outbox import notifier
from celery_config.web.change_log import Kind, compare_values, record_changes
from inventory_app import domain
from inventory_app.domain import Change, Level, ProductData, ReservationState
from inventory_app.errors import AdjustmentConflict, UnknownProduct
from inventory_app.models import Movement, Product, Reservation, ReservationLine, Stock

log = structlog.get_logger(__name__)
MOVEMENT = ("product", "kind", "quantity", "order", "on_hand", "reserved", "adjustment", "reason")
PRODUCT_FIELDS = [each.name for each in fields(ProductData) if each.name != "sku"]
# A step of a saga already has a savepoint around these; a second one costs two statements an order.
atomic_within_step = transaction.atomic(savepoint=False)


@dataclass(frozen=True, slots=True)
class PutResult:
    """How many products one call created, changed and left as they were."""

    created: int
    changed: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class OpeningResult:
    """How many products of one call got their opening stock, and how many had one already."""

    booked: int
    there_already: int


@atomic_within_step
def reserve_stock(orders: Mapping[UUID, Iterable[Line]]) -> dict[UUID, UUID | Refused]:
    """Hold every line of an order, or none; return each order's reservation, or the refusal.

    Codes of refusals: invalid_lines, unknown_sku, inactive_product, out_of_stock. When several orders want the last
    units, the first order gets them.
    """
    outcomes: dict[UUID, UUID | Refused] = {}
    wanted: dict[UUID, dict[str, int]] = {}
    for order, lines in orders.items():
        try:
            wanted[order] = domain.merge_lines(lines)
        except Refused as refusal:
            outcomes[order] = refusal
    levels = lock_levels({sku for quantities in wanted.values() for sku in quantities})
    held: dict[UUID, dict[str, int]] = {}
    changes = StockChanges()
    for order, quantities in wanted.items():
        try:
            after = domain.reserve(levels, quantities)
        except Refused as refusal:
            outcomes[order] = refusal
            continue
        levels |= after
        held[order], outcomes[order] = quantities, domain.reservation_id(order)
        changes.add(Change.RESERVE, quantities, after, order=order)
    bulk.execute(*make_reservation_statements(held), *changes.statements())
    return outcomes


def make_reservation_statements(held: Mapping[UUID, Mapping[str, int]]) -> list[bulk.Statement]:
    """The statements that insert the reservations of orders; quantities by SKU."""
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
    """Release the orders' reservations; a repeat is harmless.

    Raises:
        ReservationLost: an order has no reservation, or it was committed.
    """
    end_reservations(orders, ReservationState.RELEASED, Change.RELEASE, domain.release)


@atomic_within_step
def commit_stock(orders: Collection[UUID]) -> dict[UUID, UUID]:
    """Commit the orders' reservations: the units leave the stock. Return the reservations' ids.

    Raises:
        ReservationLost: an order has no reservation, or it was released.
    """
    end_reservations(orders, ReservationState.COMMITTED, Change.COMMIT, domain.commit)
    return {order: domain.reservation_id(order) for order in orders}


@transaction.atomic
def put_products(
    *,
    products: Sequence[ProductData],
    by: str,
    opening: Mapping[str, int] = MappingProxyType({}),
    only_new: bool = False,
) -> PutResult:
    """Create the products that are new, and change those that differ; the table's trigger announces each change.

    Args:
        by: who does it; the change log keeps it.
        opening: units to begin with, by SKU, of products that are new.
        only_new: products that are there already stay as they are.

    Raises:
        RepeatedProduct: a SKU comes twice.
    """
    wanted = {product.sku: product for product in sorted(products, key=lambda product: product.sku)}
    domain.check_unique([product.sku for product in products])
    # The insert waits for other transactions that create one of them; after the lock below, every row is there.
    new = [make_product(product) for product in wanted.values()]
    created = set(bulk.insert_new(Product, new, ("sku", *PRODUCT_FIELDS), returning="sku"))
    Stock.objects.bulk_create((Stock(product_id=sku) for sku in wanted), ignore_conflicts=True)
    if first := {sku: units for sku, units in opening.items() if sku in created}:
        set_opening_stock(quantities=first, by=by)
    others = [sku for sku in wanted if sku not in created]
    found = [] if only_new else lock_products(others)
    differing = [row for row in found if is_changed(row, wanted[row.sku])]
    changed = [make_product(wanted[row.sku]) for row in differing]
    bulk.update(Product, changed, PRODUCT_FIELDS)
    before = dict.fromkeys(sorted(created)) | {row.sku: row for row in differing}
    changes = {sku: compare_values(row, wanted[sku], PRODUCT_FIELDS) for sku, row in before.items()}
    record_changes(Kind.PRODUCT, changes, by=by)
    transaction.on_commit(notifier.notify_relay)
    put = PutResult(len(created), len(changed), len(others) - len(changed))
    log.info("products put", **asdict(put))
    return put


def lock_products(skus: Collection[str]) -> QuerySet[Product]:
    return Product.objects.select_for_update(no_key=True).filter(pk__in=skus).order_by("pk")


@transaction.atomic
def set_opening_stock(*, quantities: Mapping[str, int], by: str) -> OpeningResult:
    """Set the opening stock of each product, once: a product that has one keeps it.

    Args:
        quantities: units, by SKU.
        by: who does it.

    Raises:
        UnknownProduct: no product has one of the SKUs; nothing is changed.
    """
    stock = {row.pk: row for row in lock_stock(quantities)}
    if unknown := [sku for sku in quantities if sku not in stock]:
        raise UnknownProduct(f"no such product: {domain.join_names(sorted(unknown))}")
    first = {sku: quantities[sku] for sku, row in stock.items() if row.opening is None}
    after = {sku: domain.adjust(make_level(stock[sku]), quantity) for sku, quantity in first.items()}
    changes = StockChanges()
    changes.add(Change.OPENING, first, after, by=by)
    bulk.execute(*changes.statements(opening=first))
    opened = OpeningResult(len(first), len(stock) - len(first))
    log.info("opening stock booked", **asdict(opened))
    return opened


@transaction.atomic
def adjust_stock(*, adjustment: UUID, sku: str, quantity: int, reason: str, by: str) -> Movement:
    """Correct the stock of one product after a count or a loss; return the movement.

    Args:
        adjustment: its id, chosen by the caller; a repeat changes nothing and returns the same movement.
        quantity: units to add; negative to take away.
        by: who does it.

    Raises:
        UnknownProduct: no product has this SKU.
        StockBelowReserved: less would be left than orders hold.
        AdjustmentConflict: the id belongs to another adjustment.
    """
    before = lock_levels([sku])
    if sku not in before:
        raise UnknownProduct(f"no such product: {sku}")
    if earlier := Movement.objects.filter(adjustment=adjustment).first():
        if (earlier.product_id, earlier.quantity) != (sku, quantity):
            raise AdjustmentConflict(f"{adjustment} was {earlier.quantity:+} of {earlier.product_id}")
        return earlier
    after = {sku: domain.adjust(before[sku], quantity)}
    changes = StockChanges()
    changes.add(Change.ADJUST, {sku: quantity}, after, adjustment=adjustment, reason=reason, by=by)
    bulk.execute(*changes.statements())
    return Movement.objects.get(adjustment=adjustment)


def end_reservations(
    orders: Collection[UUID], into: ReservationState, kind: Change, change: Callable[[Level, int], Level]
) -> None:
    """End held reservations, each once; their rows are locked before the stock rows."""
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
    levels = lock_levels({sku for quantities in held.values() for sku in quantities})
    changes = StockChanges()
    for order, quantities in held.items():
        after = {sku: change(levels[sku], quantity) for sku, quantity in quantities.items()}
        levels |= after
        changes.add(kind, quantities, after, order=order)
    bulk.execute(*changes.statements())


@dataclass
class StockChanges:
    """Changes of stock under one lock: the levels after them, and a movement for each change."""

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

    def statements(self, *, opening: Mapping[str, int] | None = None) -> list[bulk.Statement]:
        """The statements that write the changes; the caller has locked the stock rows."""
        opening = opening or {}
        changed = [
            Stock(product_id=sku, on_hand=level.on_hand, reserved=level.reserved, opening=opening.get(sku))
            for sku, level in self.levels.items()
        ]
        return [
            *bulk.update_statement(
                Stock, changed, ["on_hand", "reserved", *(["opening"] if opening else [])]
            ),
            *bulk.insert_statement(
                Movement, self.movements, (*MOVEMENT, "by") if any(m.by for m in self.movements) else MOVEMENT
            ),
        ]


def lock_stock(skus: Iterable[str]) -> list[Stock]:
    """Lock the stock rows of these SKUs, in the order of the SKUs; return them with their products."""
    return list(
        Stock.objects.select_for_update(of=("self",))
        .select_related("product")
        .filter(pk__in=list(skus))
        .order_by("pk")
    )


def lock_levels(skus: Iterable[str]) -> dict[str, Level]:
    return {row.pk: make_level(row) for row in lock_stock(skus)}


def make_level(row: Stock) -> Level:
    return Level(row.on_hand, row.reserved, row.product.active)


def make_product(product: ProductData) -> Product:
    return Product(sku=product.sku, **{name: getattr(product, name) for name in PRODUCT_FIELDS})


def is_changed(row: Product, product: ProductData) -> bool:
    return any(getattr(row, name) != getattr(product, name) for name in PRODUCT_FIELDS)
