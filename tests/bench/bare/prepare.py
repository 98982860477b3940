"""Prepares the database of one bare service: `python -m tests.bench.bare.prepare SERVICE`."""

from __future__ import annotations

import sys

from compose.local import prepare
from tests.bench.goods import OPENING_STOCK, PRODUCTS
from tests.bench.three.prepare import make_tables


def main(argv: list[str]) -> int:
    prepare.main(argv)
    (service,) = argv
    if service == "inventory":
        fill_inventory()
    if service == "order":
        fill_catalogue()
    make_tables(service)
    return 0


def fill_inventory() -> None:
    from inventory_app import services
    from inventory_app.domain import ProductData

    services.put_products(products=[ProductData(**product) for product in PRODUCTS], by="ada")
    services.set_opening_stock(quantities={product["sku"]: OPENING_STOCK for product in PRODUCTS}, by="ada")


def fill_catalogue() -> None:
    from order_project.models import CatalogueProduct

    CatalogueProduct.objects.bulk_create(CatalogueProduct(version=1, **product) for product in PRODUCTS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
