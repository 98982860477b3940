"""A customer is forgotten by all four services of the running system, and nothing that comes late brings them back."""

from __future__ import annotations

import json
from typing import Any

import httpx
import psycopg

from celery_config.broker.topology import DEAD_LETTERS, Topology
from celery_config.common.services import PARTICIPANTS, SERVICES, SUBSCRIPTIONS
from tests.acceptance.shop import Shop, until
from tests.acceptance.test_copies import call, execute, sync
from tests.acceptance.wire import Letter, as_bytes

HOME = {
    "name": "Quillon Featherstone", "line1": "3 Wisteria Steps", "line2": "Attic of Gwenllian", "city": "Llanfair",
    "region": "Anglesey", "postal_code": "LL61 5UJ", "country": "GB",
}  # fmt: skip
EMAIL = "quillon@featherstone.example"
# The provider names a token that it does not know in its refusal, from where it goes everywhere.
TOKEN = "tok_9931_llwyd"
WORDS = (
    "Quillon", "Featherstone", "featherstone", "Wisteria", "Gwenllian", "Llanfair", "Anglesey", "LL61", TOKEN,
)  # fmt: skip
QUEUES = [queue for service in SERVICES for queue in Topology.load(SUBSCRIPTIONS).worker_queues(service)]


def told(shop: Shop, *words: str) -> list[str]:
    """The rows, in all tables of all four databases, in which one of the words stands."""
    found = []
    assert shop.stack.postgres is not None
    for service in SERVICES:
        with psycopg.connect(shop.stack.postgres.superuser_url(service)) as connection:
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            ).fetchall()
            for (table,) in tables:
                rows = connection.execute(f'SELECT t::text FROM "{table}" AS t').fetchall()  # type: ignore[arg-type]
                found += [f"{service}.{table}: {row}" for (row,) in rows if any(w in row for w in words)]
    return found


def told_on_the_wire(shop: Shop, *words: str) -> list[str]:
    """The messages that wait in any queue in which one of the words stands."""
    found = []
    for queue in [*QUEUES, DEAD_LETTERS]:
        with shop.wire.channel() as channel:  # what was looked at goes back when it closes
            while message := channel.basic_get(queue):
                text = bytes(as_bytes(message.body)).decode()
                found += [f"{queue}: {text}"] if any(word in text for word in words) else []
    return found


def parcels(shop: Shop, order: str) -> list[dict[str, Any]]:
    """What the carrier has of an order."""
    answer = httpx.get(f"{shop.stack.sandbox_url}/carrier/shipments?reference={order}", trust_env=False)
    return list(answer.raise_for_status().json()["items"])


def erasure(shop: Shop, asked: dict[str, Any]) -> dict[str, Any]:
    return dict(shop.shopper.http.get(asked["url"]).raise_for_status().json())


def all_repeated(shop: Shop, letters: list[Letter]) -> None:
    """Send everything once more, and wait until it was read and what came after it done."""
    shop.wire.send(*letters)
    until(lambda: not any(map(shop.wire.waiting, QUEUES)), "all repeats were taken")
    shop.all_confirmed([shop.place(), shop.place(flow="choreographed")])


def test_four_receipts_nothing_left_and_nothing_comes_back(shop: Shop) -> None:
    body = {"name": HOME["name"], "email": EMAIL, "billing_address": HOME, "delivery_address": HOME}
    with shop.wire.copies() as copied:
        customer = call(shop, "order", "POST", "/api/customers/", body).json()["id"]
        url = f"/api/customers/{customer}/"
        call(shop, "order", "PATCH", url, {"currency": "EUR"}).raise_for_status()
        more = {"customer": customer, "address": HOME}
        orders = [shop.place(**more), shop.place(**more), shop.place(**more, flow="choreographed")]
        refused = [shop.place(**more, payment_token=TOKEN)]
        refused += [shop.place(**more, payment_token=TOKEN, flow="choreographed")]
        ends = shop.ends([*orders, *refused])
        assert [ends[order].status for order in [*orders, *refused]] == ["confirmed"] * 3 + ["cancelled"] * 2
        for path in (f"/api/customers/{customer}/", f"/api/delivery-addresses/{customer}/"):
            service = "payment" if "customers" in path else "shipment"
            until(
                lambda p=path, s=service: call(shop, s, "GET", f"{p}?min_version=2").is_success,
                "both know them",
            )
    assert {row.partition(".")[0] for row in told(shop, *WORDS)} == {*SERVICES}
    for order in orders:
        assert [parcel["address"] for parcel in parcels(shop, order)] == [HOME]
    facts = {service: {o: shop.facts(service, o) for o in orders} for service in PARTICIPANTS}
    for of_order in facts["shipment"].values():
        of_order["address_digest"] = ""  # so it is afterwards

    with shop.paused("order-relay"):
        moving = shop.place(**more)
        answer = shop.shopper.http.post(f"{url}forget/", json={"why": "a letter of 3 November"})
        assert (answer.status_code, answer.json()["code"]) == (409, "orders_under_way")
        assert moving in answer.json()["detail"]
    shop.all_confirmed([moving])

    asked = (
        shop.shopper.http.post(f"{url}forget/", json={"why": "a letter of 3 November"})
        .raise_for_status()
        .json()
    )
    again = shop.shopper.http.post(f"{url}forget/", json={"why": "the same letter"}).raise_for_status().json()
    assert again["id"] == asked["id"]
    late = shop.shopper.place(shop.order(**more))
    assert (late.status_code, late.json()["code"]) == (422, "unknown_customer")

    until(lambda: erasure(shop, asked)["status"] == "done", "all four have forgotten")
    receipts = {each["service"]: each["rows"] for each in erasure(shop, asked)["receipts"]}
    assert {*receipts} == {*SERVICES}
    assert receipts["order"]["order.Order"] == 6
    assert receipts["payment"]["payment.Payment"] == 4
    assert receipts["shipment"]["shipment.Shipment"] == 4
    assert told(shop, *WORDS) == []
    assert told_on_the_wire(shop, *WORDS) == []
    assert {service: {o: shop.facts(service, o) for o in orders} for service in PARTICIPANTS} == facts
    shop.audit()

    about_them = [letter for letter in copied if any(word in letter.body.decode() for word in WORDS)]
    assert {"payment.authorize_payment", "events.receive"} <= {letter.task for letter in about_them}
    all_repeated(shop, copied)
    all_repeated(shop, [driven(letter) for letter in reversed(about_them)])
    assert told(shop, *WORDS) == []
    for service in ("payment", "shipment"):
        assert sync(shop, service, "--rebuild")[::2] == (0, 0)
        assert sync(shop, service, "--check")[::2] == (0, 0)
    assert told(shop, *WORDS) == []
    shop.audit()


def driven(letter: Letter) -> Letter:
    """An event of a choreographed order as it is said again, which asks for answers once more."""
    positional, kwargs, embed = json.loads(letter.body)
    if kwargs.get("flow"):
        kwargs["drive"] = 7
    return Letter(letter.queue, json.dumps([positional, kwargs, embed]).encode(), letter.properties)


def test_kill_nine_of_workers_in_the_midst_of_it(shop: Shop) -> None:
    body = {"name": HOME["name"], "email": EMAIL, "delivery_address": HOME}
    customers = [call(shop, "order", "POST", "/api/customers/", body).json()["id"] for _ in range(8)]
    orders = shop.place_all([shop.order(customer=customer, address=HOME) for customer in customers])
    shop.all_confirmed(orders)
    with shop.locked("shipment", "messaging_barrierrow", "SHARE"):
        asked = [
            shop.shopper.http.post(f"/api/customers/{customer}/forget/", json={"why": "x"}).json()
            for customer in customers
        ]
        until(lambda: shop.blocked("shipment"), "shipment is in the midst of forgetting")
        shop.stack.supervisor.kill("shipment-worker")
        shop.stack.supervisor.kill("order-relay")
        shop.stack.supervisor.kill("payment-worker")
        assert {erasure(shop, each)["status"] for each in asked} == {"under way"}
    for name in ("shipment-worker", "order-relay", "payment-worker"):
        shop.stack.restart(name)
    until(lambda: {erasure(shop, each)["status"] for each in asked} == {"done"}, "all have forgotten all")
    for each in asked:
        receipts = {told["service"]: told["rows"] for told in erasure(shop, each)["receipts"]}
        assert {*receipts} == {*SERVICES}
        assert (receipts["payment"]["payment.Payment"], receipts["shipment"]["shipment.Shipment"]) == (1, 1)
    assert told(shop, *WORDS) == []


def test_what_is_left_anywhere_is_found_by_the_audit(shop: Shop) -> None:
    customer = call(shop, "order", "POST", "/api/customers/", {"name": HOME["name"]}).json()["id"]
    order = shop.place(customer=customer, address=HOME)
    shop.all_confirmed([order])
    asked = shop.shopper.http.post(f"/api/customers/{customer}/forget/", json={"why": "x"}).json()
    until(lambda: erasure(shop, asked)["status"] == "done", "all have forgotten")
    planted = {
        "order": f"UPDATE order_order SET cancel_reason = 'by Quillon' WHERE id = '{order}'",
        "payment": f"UPDATE payment_billingcustomer SET name = 'Quillon' WHERE customer = '{customer}'",
        "inventory": "INSERT INTO messaging_outboxmessage (kind, name, saga, payload, published_at) VALUES"
        f""" ('event', 'x', '{order}', '{{"data": {{"city": "Llanfair"}}}}', now())""",
        "shipment": f"""UPDATE shipment_shipment SET line1 = '3 Wisteria Steps' WHERE "order" = '{order}'""",
    }
    for service, statement in planted.items():
        execute(shop, service, statement)
    done = shop.command_with({"COLUMNS": "300"}, "order", "audit")
    for service in planted:
        mended = shop.command(service, "forget_again")
        assert mended.stdout.strip().endswith("forget_again: 1 rows blanked or deleted"), mended.stdout
    assert done.stdout.strip().endswith("4 violations"), done.stdout
    for found in (
        "order: 1 rows of order.Order",
        "payment: 1 rows of payment.BillingCustomer",
        "inventory: 1 rows of messaging.OutboxMessage",
        "shipment: 1 rows of shipment.Shipment",
    ):
        assert f"{found} hold personal data of an erased customer" in done.stdout
