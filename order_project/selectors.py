"""The reads of the order service."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from celery_config.digest import Digest, digest
from celery_config.saga.models import SagaInstance
from order_project.domain import CatalogueEntry
from order_project.models import CatalogueProduct, Order


def catalogue(skus: Iterable[str]) -> dict[str, CatalogueEntry]:
    """The products called so, from the order service's own copy."""
    rows = CatalogueProduct.objects.filter(sku__in=list(skus))
    return {
        row.sku: CatalogueEntry(row.sku, row.name, row.price, row.currency, row.weight_grams, row.active)
        for row in rows
    }


def catalogue_digest() -> Digest:
    """What our copy of the catalogue has, to be compared with the source's."""
    return digest(CatalogueProduct.objects.values_list("sku", "version"))


def orders_for(user: Any) -> QuerySet[Order]:
    """All orders for staff, one's own for everybody else."""
    orders = Order.objects.select_related("customer")
    return orders if user.is_staff else orders.filter(customer__user_id=user.pk)


def sagas_of(ids: Iterable[UUID]) -> dict[UUID, SagaInstance]:
    """The sagas with their steps, by id; two statements however many."""
    return {saga.pk: saga for saga in SagaInstance.objects.filter(pk__in=list(ids)).prefetch_related("steps")}
