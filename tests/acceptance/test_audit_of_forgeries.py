"""The audit finds what forgeries would have done: each is written into a database, found, and taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.acceptance.shop import ADDRESS, TEA, Shop, until
from tests.attempts import Recorder, note_attempt

STRANGE = str(uuid4())


@dataclass(frozen=True)
class Forged:
    """What a forgery would have left behind.

    Args:
        by: the service whose credentials it would have taken.
        changes: statements by service; `%(confirmed)s`, `%(cancelled)s` and `%(choreographed)s` are orders, and
            `%(customer)s` is a customer.
        finding: a part of what the audit says.
    """

    what: str
    by: str
    changes: dict[str, tuple[str, ...]]
    finding: str


FORGERIES = (
    Forged(
        "a declined order is completed", "shipment",
        {
            "order": (
                "UPDATE order_order SET status = 'confirmed' WHERE id = %(cancelled)s",
                "UPDATE saga_sagainstance SET status = 'completed'"
                " WHERE id = (SELECT saga FROM order_order WHERE id = %(cancelled)s)",
            )
        },
        "completed, yet its payment is",
    ),
    Forged(
        "a product is sold at a penny", "payment",
        {
            "order": (
                f"UPDATE order_orderline SET unit_price = 1 WHERE order_id = %(confirmed)s AND sku = '{TEA}'",
            )
        },
        f"{TEA} was sold at 1, a price that inventory never gave it",
    ),
    Forged(
        "a customer has another billing address", "inventory",
        {"payment": ("UPDATE payment_billingcustomer SET name = 'Else' WHERE customer = %(customer)s",)},
        "payment: 1 rows of billing_customer differ from their source's",
    ),
    Forged(
        "a customer has another delivery address", "inventory",
        {"shipment": ("DELETE FROM shipment_deliveryaddress WHERE customer = %(customer)s",)},
        "shipment: 1 rows of delivery_address differ from their source's",
    ),
    Forged(
        "a parcel goes to a stranger", "inventory",
        {"shipment": ("UPDATE shipment_shipment SET line1 = '9 Other Road' WHERE \"order\" = %(confirmed)s",)},
        "was shipped to another address than the order's",
    ),
    Forged(
        "a payment is refunded that nobody asked for", "inventory",
        {"payment": ("UPDATE payment_payment SET refunded = 100 WHERE \"order\" = %(confirmed)s",)},
        "refunded 100, yet refunds of 0 were asked for",
    ),
    Forged(
        "a parcel of an order that does not exist", "payment",
        {"shipment": (f"UPDATE shipment_shipment SET \"order\" = '{STRANGE}' WHERE \"order\" = %(confirmed)s",)},
        f"shipment: did something for {STRANGE}, which is no order of ours",
    ),
    Forged(
        "a customer is erased at payment", "shipment",
        {"payment": (f"INSERT INTO erasure_forgotten (id, at) VALUES ('{STRANGE}', now())",)},
        "payment: erased 1 customers, orders or sagas that the order service did not",
    ),
    Forged(
        "goods of a choreographed order leave unpaid", "shipment",
        {
            "payment": (
                "UPDATE payment_payment SET state = 'authorized', captured = 0"
                " WHERE \"order\" = %(choreographed)s",
            )
        },
        "completed, yet its payment is authorized with 0 of",
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def rows(open_shop: Shop, audited: None) -> dict[str, str]:
    """An order of each kind, and a customer whom payment and shipment know."""
    confirmed, choreographed = open_shop.place(), open_shop.place(flow="choreographed")
    cancelled = open_shop.place(payment_token="tok_card_declined")
    ends = open_shop.ends([confirmed, choreographed, cancelled])
    assert [ends[each].status for each in (confirmed, choreographed, cancelled)] == [
        "confirmed", "confirmed", "cancelled",
    ]  # fmt: skip
    body = {"name": "Ada", "billing_address": ADDRESS, "delivery_address": ADDRESS}
    answer = httpx.post(
        f"{open_shop.stack.url('order')}/api/customers/",
        json=body, headers=open_shop.operator("order"), trust_env=False,
    )  # fmt: skip
    customer = answer.raise_for_status().json()["id"]
    for service, table in (("payment", "payment_billingcustomer"), ("shipment", "shipment_deliveryaddress")):
        known = f"SELECT FROM {table} WHERE customer = %s"
        until(lambda s=service, q=known: open_shop.rows(s, q, customer), f"{service} knows her")  # type: ignore[misc]
    return {
        "confirmed": confirmed, "cancelled": cancelled, "choreographed": choreographed, "customer": customer,
    }  # fmt: skip


TABLES = {
    "order": ("order_order", "saga_sagainstance", "order_orderline"),
    "payment": ("payment_billingcustomer", "payment_payment", "erasure_forgotten"),
    "shipment": ("shipment_deliveryaddress", "shipment_shipment"),
}


@contextmanager
def written(shop: Shop, forged: Forged, rows: dict[str, str]) -> Iterator[None]:
    """Within the block the forgery is committed; then its tables are as they were. No trigger sees either."""
    assert shop.stack.postgres is not None
    for service, statements in forged.changes.items():
        with psycopg.connect(shop.stack.postgres.superuser_url(service)) as connection:
            connection.execute("SET session_replication_role = replica")
            for table in TABLES[service]:
                connection.execute(f"CREATE TABLE before_{table} AS TABLE {table}")
            for statement in statements:
                assert connection.execute(statement, rows).rowcount == 1, statement
    try:
        yield
    finally:
        for service in forged.changes:
            with psycopg.connect(shop.stack.postgres.superuser_url(service)) as connection:
                connection.execute("SET session_replication_role = replica")
                for table in TABLES[service]:
                    connection.execute(f"DELETE FROM {table}")
                    connection.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE before_{table}")
                    connection.execute(f"DROP TABLE before_{table}")


@pytest.mark.parametrize("forged", FORGERIES, ids=lambda forged: forged.what.replace(" ", "-"))
def test_the_audit_finds(shop: Shop, rows: dict[str, str], forged: Forged, record_property: Recorder) -> None:
    with written(shop, forged, rows):
        audit = json.loads(shop.command("order", "audit", "--json").stdout)
    found = [each["finding"] for each in audit["findings"]]
    assert any(forged.finding in each for each in found), found
    note_attempt(
        record_property, "found by the audit, had it happened", forged.by, forged.what, "; ".join(found)
    )
