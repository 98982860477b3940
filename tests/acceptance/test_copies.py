"""Copies in the running system: fed by whatever changes their source, proved equal, mended, and never stale."""

from __future__ import annotations

import re
from typing import Any

import httpx
import psycopg
import pytest

from tests.acceptance.shop import ADDRESS, Shop, until

KEEPERS = ("order", "payment", "shipment")
LAST_LINE = re.compile(r"sync: (\d+) rows compared, (\d+) differ")


def call(shop: Shop, service: str, method: str, path: str, body: Any = None) -> httpx.Response:
    headers = shop.operator(service)
    url = f"{shop.stack.url(service)}{path}"
    return httpx.request(method, url, json=body, headers=headers, trust_env=False, timeout=30)


def sync(shop: Shop, service: str, *options: str) -> tuple[int, int, int]:
    """Exit code, rows compared, rows that differ."""
    done = shop.command(service, "sync", *options)
    found = LAST_LINE.fullmatch(done.stdout.strip().splitlines()[-1]) if done.stdout.strip() else None
    assert found, done.stdout + done.stderr
    return done.returncode, int(found[1]), int(found[2])


def execute(shop: Shop, service: str, statement: str) -> None:
    assert shop.stack.postgres is not None
    with psycopg.connect(shop.stack.postgres.superuser_url(service)) as connection:
        connection.execute(statement)


def test_a_customer_is_known_to_payment_and_shipment_at_once_or_not_yet(shop: Shop) -> None:
    """Who asks for the version of the own write never sees an older one."""
    made = call(shop, "order", "POST", "/api/customers/", {"name": "Ada", "billing_address": ADDRESS}).json()
    url = f"/api/customers/{made['id']}/"
    for number in range(5):
        change = {"name": f"Ada {number}", "delivery_address": ADDRESS, "email": f"ada{number}@example.com"}
        written = call(shop, "order", "PATCH", url, change).json()
        for service, path in (("payment", url), ("shipment", f"/api/delivery-addresses/{made['id']}/")):
            read = call(shop, service, "GET", f"{path}?min_version={written['version']}")
            assert read.status_code in (200, 425), read.text
            if read.status_code == 425:
                assert (read.json()["code"], read.headers["Retry-After"]) == ("copy_behind", "1")
            else:
                assert read.json()["version"] == written["version"] == number + 2
    known = until(lambda: call(shop, "payment", "GET", f"{url}?min_version=6").json(), "payment knows her")
    assert (known["name"], known["billing_address"]) == ("Ada 4", ADDRESS)


@pytest.mark.parametrize("service", KEEPERS)
def test_changes_of_every_kind_under_kill_nine_end_equal(shop: Shop, service: str) -> None:
    source, table = ("inventory", "inventory_product") if service == "order" else ("order", "order_customer")
    insert = {
        "inventory_product": "INSERT INTO inventory_product (sku, name, price, currency, weight_grams, active)"
        " SELECT 'BULK-' || n, 'Bulk', n, 'EUR', 1, true FROM generate_series(1, 500) AS n"
        " ON CONFLICT (sku) DO UPDATE SET price = inventory_product.price + 1",
        "order_customer": "INSERT INTO order_customer (id, name, email)"
        " SELECT gen_random_uuid(), 'BULK-' || n, '' FROM generate_series(1, 500) AS n",
    }
    execute(shop, source, insert[table])
    shop.stack.supervisor.kill(f"{service}-worker")
    key = "sku" if service == "order" else "name"
    execute(shop, source, f"UPDATE {table} SET name = 'BULK-changed' WHERE {key} LIKE 'BULK-%5'")
    shop.stack.supervisor.kill(f"{source}-relay")
    execute(shop, source, f"DELETE FROM {table} WHERE {key} LIKE 'BULK-%7'")
    shop.restart_all(f"{service}-worker", f"{source}-relay")
    code, rows, differing = sync(shop, service, "--check", "--patience", "60")
    assert (code, differing) == (0, 0)
    assert rows >= 500


def test_what_was_written_into_a_copy_is_found_and_mended(shop: Shop) -> None:
    execute(shop, "inventory", "UPDATE inventory_product SET price = price + 1")
    assert sync(shop, "order", "--check")[::2] == (0, 0)
    try:
        # The relay follows the source, and might just ask it for the row that is missing.
        with shop.paused("order-relay"):
            execute(shop, "order", "UPDATE order_catalogueproduct SET price = 1 WHERE sku = 'TEA'")
            execute(shop, "order", "DELETE FROM order_catalogueproduct WHERE sku = 'KETTLE'")
            assert sync(shop, "order", "--check", "--patience", "1")[::2] == (1, 2)
    finally:
        assert sync(shop, "order", "--repair", "--patience", "1")[::2] == (0, 0)
    assert sync(shop, "order")[::2] == (0, 0)


def test_a_copy_is_refilled_from_nothing(shop: Shop) -> None:
    execute(shop, "payment", "DELETE FROM payment_billingcustomer")
    assert sync(shop, "payment", "--rebuild")[::2] == (0, 0)
    assert shop.rows("payment", "SELECT count(*) AS n FROM payment_billingcustomer")[0]["n"] > 0


def test_an_event_that_is_lost_makes_the_copy_late_until_it_is_asked_for(shop: Shop) -> None:
    with psycopg.connect(shop.stack.postgres.superuser_url("inventory")) as connection:  # type: ignore[union-attr]
        connection.execute("UPDATE inventory_product SET price = price + 7 WHERE sku = 'TEA'")
        # As if the broker had taken it, and lost its disk.
        connection.execute(
            "UPDATE messaging_outboxmessage SET published_at = now() WHERE published_at IS NULL AND kind = 'event'"
        )
    price = shop.rows("inventory", "SELECT price FROM inventory_product WHERE sku = 'TEA'")[0]["price"]
    query = "SELECT price FROM order_catalogueproduct WHERE sku = 'TEA'"
    until(
        lambda: shop.rows("order", query)[0]["price"] == price, "the order service asks for what never came"
    )
    shown = call(shop, "order", "GET", "/api/copies/").json()["copies"]
    assert [copy["name"] for copy in shown] == ["catalogue_product", "payable_currency"]
    flow = httpx.get(f"{shop.stack.url('order')}/flowz", trust_env=False).json()
    assert flow["copies"].startswith("ok")
