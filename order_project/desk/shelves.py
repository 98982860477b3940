"""What can be ordered at the desk: products of the order service's own copy; and how goods get onto empty shelves."""

from __future__ import annotations

import time
from collections.abc import Sequence

from django.db.models import Case, Q, QuerySet, When

from celery_config.common.service_calls import OPERATOR
from celery_config.http.service_client import ServiceClient
from celery_config.sandbox.goods import DELIVERY, GOODS, SOLD_OUT
from order_project.models import CatalogueProduct

SHOWN = 12
SKUS = {good.sku for good in (*GOODS, SOLD_OUT)}
LOOK_SECONDS = 0.1
MOST_SECONDS = 30.0


class NotDelivered(Exception):
    """The goods did not arrive in the order service's copy."""


def list_products(text: str = "", *, most: int = SHOWN) -> QuerySet[CatalogueProduct]:
    """Return products that are sold, by a part of their SKU or name; the one whose SKU is typed out comes first."""
    sold = CatalogueProduct.objects.filter(active=True, deleted=False)
    if not text:
        return sold.order_by("sku")[:most]
    typed_out = Case(When(sku__iexact=text, then=0), default=1)
    found = sold.filter(Q(sku__icontains=text) | Q(name__icontains=text))
    return found.order_by(typed_out, "sku")[:most]


def find_product(sku: str) -> CatalogueProduct | None:
    """Return a product that is sold."""
    return CatalogueProduct.objects.filter(sku=sku, active=True, deleted=False).first()


def list_goods() -> list[CatalogueProduct]:
    """Return those goods of the little shop that the order service knows."""
    return list(CatalogueProduct.objects.filter(sku__in=SKUS, active=True, deleted=False).order_by("sku"))


def offer_goods() -> Sequence[CatalogueProduct]:
    """Return the goods of the little shop; put those that are missing on the shelves first.

    Raises:
        ServiceCallError: inventory does not take them.
        NotDelivered: they do not arrive here.
    """
    if len(found := list_goods()) == len(SKUS):
        return found
    ServiceClient("inventory", caller=OPERATOR).post("/api/products/", DELIVERY)
    end = time.monotonic() + MOST_SECONDS
    while len(found := list_goods()) < len(SKUS):
        if time.monotonic() > end:
            missing = ", ".join(sorted(SKUS - {good.sku for good in found}))
            raise NotDelivered(
                f"the order service does not know {missing}: look at inventory's relay and the order service's worker,"
                " and whether they are still sold"
            )
        time.sleep(LOOK_SECONDS)  # another process's rows are watched, and a table gives no signal
    return found
