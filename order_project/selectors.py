"""The reads of the order service; none of them writes or locks."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from celery_config.db import bulk
from celery_config.db.functions import cached_sql, fetch_all
from celery_config.saga.models import SagaInstance
from celery_config.web.permissions import may
from order_project.domain import SHOWN_OF_FLOWS, CatalogueEntry, OrderStatus, ShownStatus
from order_project.models import CatalogueProduct, Choreography, Customer, Order


def read_catalogue(skus: Iterable[str]) -> dict[str, CatalogueEntry]:
    """Return the products with these SKUs from the order service's own copy, by SKU."""
    wanted = [SimpleNamespace(sku=sku) for sku in skus]
    given = bulk.json_parameter(CatalogueProduct, wanted, ("sku",))
    return {
        sku: CatalogueEntry(
            sku,
            name,
            price,
            currency,
            weight,
            bool(active),
            None if accepted is None else bool(accepted),
            step or 1,
        )
        for sku, name, price, currency, weight, active, accepted, step in fetch_all(
            catalogue_sql(connection.vendor), [given]
        )
    }


@functools.cache
def catalogue_sql(vendor: str) -> str:
    """Return the SQL that reads any number of products; it is built once, since every order runs it."""
    return (
        "SELECT p.sku, p.name, p.price, p.currency, p.weight_grams, p.active, c.accepted, c.step"
        " FROM order_catalogueproduct p"
        " LEFT JOIN order_payablecurrency c ON c.currency = p.currency AND NOT c.deleted"
        f" WHERE NOT p.deleted AND p.sku IN (SELECT sku FROM {bulk.json_relation(CatalogueProduct, ('sku',), vendor)})"
    )


def find_customer(user: Any) -> UUID | None:
    """Return the id of the user's customer, or None; every order of a user runs this."""
    statement, _ = customer_query(0)
    found = fetch_all(statement, [user.pk])
    return Customer._meta.pk.to_python(found[0][0]) if found else None


@cached_sql
def customer_query(user: int) -> QuerySet[Customer, Any]:
    """Return the query for one user; its SQL is cached."""
    return Customer.objects.filter(user=user).values_list("id")


def visible_orders(user: Any) -> QuerySet[Order]:
    """Return all orders for those who may see orders, and for other users their own."""
    orders = Order.objects.select_related("customer", "choreography")
    return orders if may(user, "order.view_order") else orders.filter(customer__user_id=user.pk)


def annotate_flow_status(orders: QuerySet[Order]) -> QuerySet[Any, Any]:
    """Add `flow_status`: that of each order's saga or choreography."""
    saga = SagaInstance.objects.filter(pk=OuterRef("saga")).values("status")
    other = Choreography.objects.filter(order=OuterRef("pk")).values("status")
    return orders.annotate(flow_status=Coalesce(Subquery(saga), Subquery(other)))


def filter_by_shown_status(orders: QuerySet[Order], status: str) -> QuerySet[Order, Any]:
    """Return the orders that are shown with this status. Of those that have not ended, the flows are read."""
    if status in (ShownStatus.CONFIRMED, ShownStatus.CANCELLED):
        return orders.filter(status=status)
    open_orders = annotate_flow_status(orders.filter(status=OrderStatus.PLACED))
    flows = [flow for flow, shown in SHOWN_OF_FLOWS.items() if shown == status]
    if flows:
        return open_orders.filter(flow_status__in=flows)
    return open_orders.exclude(flow_status__in=[*SHOWN_OF_FLOWS])


def owns_order(user: Any, order: Order) -> bool:
    """Whether the order is the user's own; its customer has been read."""
    return user.pk is not None and order.customer is not None and order.customer.user_id == user.pk


def read_sagas(ids: Iterable[UUID]) -> dict[UUID, SagaInstance]:
    """Return the sagas with their steps, by id, with two statements for any number."""
    return {saga.pk: saga for saga in SagaInstance.objects.filter(pk__in=list(ids)).prefetch_related("steps")}


def read_flows(orders: Sequence[Order]) -> dict[UUID, SagaInstance | Choreography]:
    """Return each order's saga or, if it has none, its choreography, by the order's id."""
    sagas = SagaInstance.objects.in_bulk([order.saga for order in orders if order.saga])
    others = Choreography.objects.in_bulk([order.pk for order in orders if not order.saga])
    return others | {order.pk: sagas[order.saga] for order in orders if order.saga in sagas}
