"""The bare order service: it writes the order, sends the chain, and confirms the order at the end."""

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
from tests.bench.bare.app import app, make_link
from tests.bench.goods import ADDRESS, CURRENCY, TOKEN
from tests.bench.order_side import Lines, OrderSide


def make_side() -> OrderSide:
    return OrderSide(place_order)


def place_order(customer: UUID, lines: Lines) -> None:
    """Write the order with its lines, then send the chain of seven links."""
    order_id = uuid4()
    with transaction.atomic():
        merged = domain.merge_lines(lines)
        wanted = [domain.RequestLine(sku=line.sku, quantity=line.quantity) for line in merged]
        catalogue = selectors.read_catalogue([line.sku for line in merged])
        priced = domain.price_lines(wanted, catalogue)
        order = Order(
            id=order_id,
            customer_id=customer,
            currency=CURRENCY,
            total=domain.sum_total(priced),
            weight_grams=domain.sum_weight(priced),
            address=encode(ADDRESS),
            saga=uuid4(),
        )
        order.save(force_insert=True)
        OrderLine.objects.bulk_create(
            OrderLine(order=order, sku=p.sku, name=p.name, quantity=p.quantity, unit_price=p.unit_price)
            for p in priced
        )
    make_chain(order, [encode(line) for line in merged]).apply_async(({},))


def make_chain(order: Order, lines: list[dict[str, Any]]) -> Signature:
    ids = {"order": str(order.id)}
    parcel = {"weight_grams": order.weight_grams, "parcels": domain.count_parcels(order.weight_grams)}
    return chain(
        make_link(
            "bare.payment.authorize",
            **ids,
            customer=str(order.customer_id),
            amount=order.total,
            currency=order.currency,
            token=TOKEN,
        ),
        make_link("bare.inventory.reserve", **ids, lines=lines),
        make_link("bare.shipment.book", **ids, address=order.address, **parcel),
        make_link("bare.payment.capture", **ids),
        make_link("bare.inventory.commit", **ids),
        make_link("bare.shipment.dispatch", **ids),
        make_link("bare.order.complete", **ids),
    )


@app.task(name="bare.order.complete")
def complete_order(replies: dict[str, Any], *, order: str) -> None:
    Order.objects.filter(id=order, status=domain.OrderStatus.PLACED).update(
        status=domain.OrderStatus.CONFIRMED, tracking_number=replies["tracking_number"], ended_at=Now()
    )
