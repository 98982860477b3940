"""One database is restored from an older backup, on real servers: nothing is lost silently, and `recover` mends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose.local.roles import list_roles
from tests.acceptance.alerts import Series, evaluate, scrape, write_test
from tests.acceptance.shop import KETTLE, TEA, UNREACHABLE, Shop, product, until
from tests.acceptance.wire import Letter
from tests.backup import Backup

WHY = "a test"


def is_booking(letter: Letter) -> bool:
    return letter.task == "shipment.book_shipment"


class BackedUp:
    """One service whose database comes back from a backup, which is taken now."""

    def __init__(self, shop: Shop, service: str, folder: Path) -> None:
        self.shop, self.service = shop, service
        self.backup = Backup(shop.stack, service, folder / f"{service}.dump")
        self.processes = [f"{service}-{role}" for role in list_roles(service)]
        self.backup.take()

    def restore(self) -> None:
        """Stop the service and put its database back; the service stays down."""
        for name in self.processes:
            self.shop.process(name).stop()
        self.backup.restore()

    def start(self) -> None:
        self.shop.restart_all(*self.processes)

    def recover(self, *options: str) -> list[dict[str, str]]:
        done = self.shop.command(self.service, "recover", *options, "--json")
        assert done.stdout, done.stderr
        rows: list[dict[str, str]] = json.loads(done.stdout)
        return rows

    def begin(self) -> None:
        done = self.shop.command(self.service, "recover", "--begin", WHY)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def backup(shop: Shop, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[BackedUp]:
    """A backup of the service that the test names; the service runs afterwards."""
    made = BackedUp(shop, request.param, tmp_path)
    yield made
    if not all(shop.process(name).is_running for name in made.processes):
        made.start()


def knows(shop: Shop, saga: str, step: str) -> bool:
    """Whether the saga log knows the step as done."""
    query = "SELECT 1 FROM saga_sagastep WHERE saga_id = %s AND name = %s AND logged = 'done'"
    return bool(shop.rows("order", query, saga, step))


def scrape_recovery(shop: Shop) -> Series:
    """Whether the order service says that it is being recovered."""
    found = scrape({("order", "web"): f"{shop.stack.url('order')}/metrics"})
    return {series: value for series, value in found.items() if series.startswith("order_saga_recovering")}


def make_customer(shop: Shop) -> str:
    customer = {"name": "Ada", "email": "ada@example.com"}
    return str(shop.shopper.http.post("/api/customers/", json=customer).raise_for_status().json()["id"])


def erase(shop: Shop, customer: str) -> None:
    """Erase a customer everywhere."""
    answer = shop.shopper.http.post(f"/api/customers/{customer}/forget/", json={"why": WHY})
    url = answer.raise_for_status().json()["url"]
    until(lambda: shop.shopper.http.get(url).json()["status"] == "done", "the customer is erased")


def states(rows: list[dict[str, str]], order: str) -> set[str]:
    return {row["state"] for row in rows if row["of"] == order}


@pytest.mark.parametrize("backup", ["payment", "shipment", "inventory"], indirect=True)
def test_what_a_participant_lost_is_written_from_others_books(shop: Shop, backup: BackedUp) -> None:
    customer = make_customer(shop)
    done, erased = shop.place_all([shop.order(), shop.order(customer=customer)])
    refused = shop.place(address=UNREACHABLE)
    shop.all_confirmed([done, erased])
    shop.ends([refused])
    erase(shop, customer)
    with shop.wire.held_back("shipment", is_booking) as held:
        on_its_way = shop.place()
        saga = shop.saga(on_its_way)["id"]
        until(lambda: held.of(saga), "its money is held, and its stock")
        until(lambda: knows(shop, saga, "reserve-stock"), "the saga log knows it")
        if backup.service == "inventory":
            shop.stock(product("NEW", 700), quantity=0)
        backup.restore()
        backup.begin()
        planned = backup.recover()
        assert states(planned, done) == {"to write"}
        written = backup.recover("--approve", WHY)
        assert states(written, done) == states(written, erased) == {"written"}
        assert shop.rows(backup.service, "SELECT 1 FROM erasure_forgotten WHERE id = %s", erased)
        questions = [row["of"] for row in written if row["state"] == "for a human"]
        assert questions == ([""] if backup.service == "inventory" else [])
        backup.start()
    shop.shopper.http.post(f"/api/orders/{on_its_way}/cancel/")  # if its deadline has not
    assert shop.ends([on_its_way])[on_its_way].status == "cancelled"


@pytest.mark.parametrize("backup", ["payment"], indirect=True)
def test_what_nobody_noticed_parks_and_goes_on_when_it_is_recovered(shop: Shop, backup: BackedUp) -> None:
    """Today's order was refused `no_payment` and compensated, with the money still held."""
    with shop.wire.held_back("shipment", is_booking) as held:
        order = shop.place()
        saga = shop.saga(order)["id"]
        until(lambda: held.of(saga), "its money is held")
        until(lambda: knows(shop, saga, "authorize-payment"), "the saga log knows it")
        backup.restore()
        backup.start()
    shop.wire.send(*held.letters)
    until(lambda: shop.saga(order)["status"] == "parked", "it is parked")
    (effect,) = [
        each
        for each in shop.shopper.http.get(f"/api/sagas/{saga}/effects/").json()["effects"]
        if each["step"] == "authorize-payment"
    ]
    assert "was set back" in effect["because"]
    assert states(backup.recover("--approve", WHY), order) == {"written"}
    shop.shopper.http.post(f"/api/sagas/{saga}/retry/", json={"why": WHY}).raise_for_status()
    assert shop.ends([order])[order].status == "cancelled"
    assert shop.facts("payment", order)["state"] == "voided"


@pytest.mark.parametrize("backup", ["order"], indirect=True)
def test_orders_that_nobody_knows_are_known_again(shop: Shop, backup: BackedUp, tmp_path: Path) -> None:
    made = make_customer(shop)
    done, other = shop.place_all([shop.order(), shop.order(flow="choreographed")])
    refused = shop.place(address=UNREACHABLE)
    declined = shop.place_all(
        [
            shop.order(payment_token="tok_card_declined", flow=flow)
            for flow in ("orchestrated", "choreographed")
        ]
    )
    shop.ends([done, other, refused, *declined])
    (amount,) = shop.rows("payment", 'SELECT amount FROM payment_payment WHERE "order" = %s', done)
    asked = {"amount": 100, "reason": "late"}
    refund = (
        shop.shopper.http.post(f"/api/orders/{done}/refunds/", json=asked).raise_for_status().json()["id"]
    )
    paid = "SELECT 1 FROM order_refund WHERE id = %s AND status = 'paid'"
    until(lambda: shop.rows("order", paid, refund), "the refund is paid")
    with shop.wire.held_back("shipment", is_booking) as held:
        on_its_way = shop.place()
        until(lambda: held.letters, "its money is held")
        known = "SELECT 1 FROM payment_billingcustomer WHERE customer = %s"
        until(lambda: shop.rows("payment", known, made), "payment knows the customer")
        backup.restore()
    backup.begin()
    backup.start()
    refusing = scrape_recovery(shop)
    answer = shop.shopper.place(shop.order(), key="sent again")
    assert (answer.status_code, answer.json()["code"]) == (503, "recovering")
    rows = backup.recover("--approve", WHY)
    for order in (done, other, refused, *declined, on_its_way):
        assert states(rows, order) == {"written", "for a human"}, rows
    alert = write_test(
        "a restored database", [refusing, scrape_recovery(shop)], [["OrderSagaRecovering"], []]
    )
    evaluate(tmp_path, alert)
    assert shop.shopper.place(shop.order()).status_code == 202
    assert shop.shopper.detail(done)["status"] == "confirmed"
    assert shop.shopper.detail(done)["total"] == amount["amount"]
    assert [line["sku"] for line in shop.shopper.detail(done)["lines"]] == [KETTLE, TEA]
    assert shop.rows("order", paid, refund)
    assert shop.rows("order", "SELECT 1 FROM order_customer WHERE id = %s AND name = 'Ada'", made)
    for order, cause in ((refused, "address_unreachable"), *((each, "card_declined") for each in declined)):
        detail = shop.shopper.detail(order)
        assert (detail["status"], detail["cancel_code"]) == ("cancelled", cause)
    settled = shop.command("order", "settle_lines", *declined, "--why", WHY)
    assert "2 settled, 0 left" in settled.stdout, settled.stderr
    assert shop.shopper.detail(on_its_way)["status"] == "parked"
    saga = shop.saga(on_its_way)["id"]
    shop.shopper.http.post(f"/api/sagas/{saga}/retry/", json={"why": WHY}).raise_for_status()
    assert shop.ends([on_its_way])[on_its_way].status == "cancelled"
