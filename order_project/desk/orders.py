"""Orders of the desk: drawn from the shelves, given a fate, and placed as the API would place them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from rest_framework.exceptions import ValidationError

from celery_config.common.identifiers import parse_uuid
from celery_config.sandbox.fates import FINE, Fate
from celery_config.sandbox.goods import ADDRESS, SOLD_OUT
from order_project import placing
from order_project.desk.faults import require_sandbox
from order_project.domain import Flow
from order_project.errors import UnknownCustomer
from order_project.inputs import OrderInput, build_request
from order_project.models import CatalogueProduct, Customer
from order_project.requests import OrderSubmission, PlacingResult

CLIENT = "desk"
CUSTOMER = "order-desk"
"""The number of the customer for whom the desk orders, unless another is chosen."""


def ensure_desk_customer() -> UUID:
    """Return the id of the desk's customer; make them if needed."""
    known = {"name": ADDRESS["name"], "email": "ada@example.com"}
    customer, _ = Customer.objects.get_or_create(reference=CUSTOMER, defaults=known)
    return customer.pk


def read_customer(given: Any) -> UUID:
    """Return the customer with this id.

    Raises:
        UnknownCustomer: there is none.
    """
    wanted = parse_uuid(given) if isinstance(given, str) else None
    if wanted is None or not Customer.objects.filter(pk=wanted).exists():
        raise UnknownCustomer
    return wanted


def draw_order(
    products: Sequence[CatalogueProduct],
    fate: Fate = FINE,
    *,
    flow: Flow = Flow.ORCHESTRATED,
    rng: random.Random,
) -> dict[str, Any]:
    """Return an order of a few of these products, as POST /api/orders/ takes it.

    Raises:
        FaultsRefused: the fate is a fault, and none may be made here.
    """
    if fate is not FINE:
        require_sandbox()
    currency = products[0].currency
    sold = [product.sku for product in products if product.currency == currency]
    basket = [sku for sku in sold if sku != SOLD_OUT.sku] or sold
    lines = [
        {"sku": sku, "quantity": rng.randint(1, 3)}
        for sku in rng.sample(basket, min(rng.randint(1, 3), len(basket)))
    ]
    return fate.give_to({"lines": lines, "currency": currency, "address": ADDRESS, "flow": flow.value}, sold)


def place_orders(orders: Sequence[Mapping[str, Any]], customer: UUID) -> list[PlacingResult]:
    """Place orders as POST /api/orders/ takes them; return the result of each.

    Raises:
        ValidationError: one of them is no order; nothing was placed.
        SagaPaused: an operator holds up new orders.
    """
    forms = [OrderInput(data=order) for order in orders]
    if wrong := [form.errors for form in forms if not form.is_valid()]:
        raise ValidationError(wrong[0])
    submissions = [OrderSubmission(build_request(form.validated_data, customer)) for form in forms]
    return placing.place_orders(client=CLIENT, submissions=submissions)
