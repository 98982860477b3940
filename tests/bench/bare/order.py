"""The bare order service: it writes the order, sends the chain, and confirms the order at its end."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from celery import chain
from celery.canvas import Signature
from django.db import transaction

from celery_config.contracts.base import encode
from celery_config.db.functions import Now
from order_project import domain, selectors
from order_project.models import Order, OrderLine
from tests.bench.bare.app import EXCHANGE, app
from tests.bench.goods import ADDRESS, CURRENCY, TOKEN
from tests.bench.placed import Lines, PlacedOrders


def side() -> PlacedOrders:
    return PlacedOrders(place)


def place(customer: UUID, lines: Lines) -> None:
    """Write the order with its lines, then send the chain of seven links."""
    order_id = uuid4()
    with transaction.atomic():
        wanted = domain.merge_lines(lines)
        catalogue = selectors.catalogue([line.sku for line in wanted])
        priced = domain.price(wanted, catalogue)
        order = Order(
            id=order_id,
            customer_id=customer,
            currency=CURRENCY,
            total=domain.total(priced),
            weight_grams=domain.weight(priced),
            address=encode(ADDRESS),
            saga=uuid4(),
        )
        order.save(force_insert=True)
        OrderLine.objects.bulk_create(
            OrderLine(order=order, sku=p.sku, name=p.name, quantity=p.quantity, unit_price=p.unit_price)
            for p in priced
        )
    flow(order, [encode(line) for line in wanted]).apply_async(({},))


def flow(order: Order, lines: list[dict[str, Any]]) -> Signature:
    who = {"order": str(order.id)}
    parcel = {"weight_grams": order.weight_grams, "parcels": domain.parcels(order.weight_grams)}
    return chain(
        link(
            "payment.authorize",
            **who,
            customer=str(order.customer_id),
            amount=order.total,
            currency=order.currency,
            token=TOKEN,
        ),
        link("inventory.reserve", **who, lines=lines),
        link("shipment.book", **who, address=order.address, **parcel),
        link("payment.capture", **who),
        link("inventory.commit", **who),
        link("shipment.dispatch", **who),
        link("order.complete", **who),
    )


def link(name: str, **kwargs: Any) -> Signature:
    route = {"exchange": EXCHANGE.name, "routing_key": name.split(".")[0], "mandatory": True}
    return app.signature(f"bare.{name}", kwargs=kwargs, options=route)


@app.task(name="bare.order.complete")
def complete(replies: dict[str, Any], *, order: str) -> None:
    Order.objects.filter(id=order, status=domain.OrderStatus.PLACED).update(
        status=domain.OrderStatus.CONFIRMED, tracking_number=replies["tracking_number"], ended_at=Now()
    )
