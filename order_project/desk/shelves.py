"""What can be ordered at the desk: products of the order service's own copy; and how goods get onto empty shelves."""

from __future__ import annotations

import time
from collections.abc import Sequence

from django.db.models import Q

from celery_config.common.service_calls import OPERATOR
from celery_config.http.service_client import ServiceClient
from celery_config.sandbox.goods import DELIVERY, GOODS, SOLD_OUT
from order_project.models import CatalogueProduct

SHOWN = 12
LAST_LETTER = "\U0010ffff"
SEARCHED = 5_000
"""Among how many products the desk looks for a part of a SKU or name."""
SKUS = {good.sku for good in (*GOODS, SOLD_OUT)}
OWN = {good.sku for good in GOODS}
LOOK_SECONDS = 0.1
MOST_SECONDS = 30.0


class NotDelivered(Exception):
    """The goods did not arrive in the order service's copy."""


def list_products(text: str = "", *, most: int = SHOWN) -> list[CatalogueProduct]:
    """Return products that are sold: the desk's own goods, or those that a text stands for, whose SKU begins so first.

    The page asks while somebody types. An index finds the beginning of a SKU among any number of products, and nothing
    finds a part of a word: so that is looked for among the first `SEARCHED` alone.
    """
    sold = CatalogueProduct.objects.filter(active=True, deleted=False).order_by("sku")
    if not text:
        # The little shop's own first: after an import there are many others.
        first = list(sold[:most])
        every = {each.sku: each for each in [*first, *(list_goods() if len(first) == most else ())]}
        return sorted(every.values(), key=lambda each: (each.sku not in OWN, each.sku))[:most]
    # Each by itself, and not by LIKE: the index finds one range, if the statement says which.
    ways = dict.fromkeys((text, text.upper()))
    ranges = [sold.filter(sku__gte=way, sku__lt=way + LAST_LETTER)[:most] for way in ways]
    begin = [product for some in ranges for product in some][:most]
    parts = sold.filter(Q(sku__icontains=text) | Q(name__icontains=text))
    parts = parts.exclude(sku__in=[product.sku for product in begin])
    if last := [*sold.values_list("sku", flat=True)[SEARCHED - 1 : SEARCHED]]:
        parts = parts.filter(sku__lte=last[0])
    return [*begin, *parts[: most - len(begin)]]


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
