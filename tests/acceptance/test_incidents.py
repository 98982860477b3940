"""Five incidents, each known by its e-mail alone: what happens, where to look, and that it is over."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from compose.local.environment import ROOT
from tests.acceptance.shop import UNREACHABLE, Shop, until
from tests.acceptance.test_operators import Faults, faults
from tests.acceptance.test_restore import BackedUp, is_booking, knows
from tests.attempts import Recorder
from tests.mail_server import Mail, MailServer, serve_mail

__all__ = ["faults"]
SEVERAL, MANY = 6, 40
SETTINGS = {"NOTIFY_EMAILS": "night-shift@example.com", "NOTIFY_FROM": "saga@example.com"}


DEAL_WITH_LETTERS = """
    UPDATE saga_deadletter SET dealt_with_at = now(), dealt_with_by = 'a test', dealt_with_why = 'of another test'
    WHERE dealt_with_at IS NULL RETURNING id
"""
OPEN_INCIDENTS = "SELECT id FROM notifications_incident WHERE kind = 'dead_letter' AND over_at IS NULL"


@pytest.fixture(scope="module")
def mails(open_shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    """A mail server to which the notifier sends."""
    with (
        serve_mail(tmp_path_factory.mktemp("mails")) as server,
        open_shop.restarted_with({**SETTINGS, "EMAIL_URL": server.url}, "order-notifier", "order-relay"),
    ):
        yield server


class Told:
    """What is told of an incident: one message, and one that it is over."""

    def __init__(self, mails: MailServer, words: str, record: Recorder) -> None:
        self.mails, self.words, self.record = mails, words, record
        self.known = len(mails.read(words))
        self.began = time.monotonic()

    def read(self) -> list[Mail]:
        return self.mails.read(self.words)[self.known :]

    def wait(self) -> Mail:
        """Return the message; it says where to look, and what to do."""
        (mail,) = until(self.read, f"an e-mail says: {self.words}")
        self.record("seconds to the message", round(time.monotonic() - self.began, 1))
        assert "Look and mend: http://127.0.0.1:" in mail.text
        return mail

    def wait_for_end(self) -> None:
        _, over, *others = until(
            lambda: self.read() if len(self.read()) > 1 else [], f"it is over: {self.words}"
        )
        assert over.subject.startswith("Over: ")
        assert others == [], "one message a cause"


def open_link(shop: Shop, mail: Mail) -> str:
    """Return the path to which the message leads."""
    link = next(line for line in mail.text.splitlines() if line.startswith("Look and mend: "))
    return link.removeprefix("Look and mend: ").removeprefix(shop.stack.url("order"))


def test_the_payment_provider_is_down(
    shop: Shop, mails: MailServer, faults: Faults, record_property: Recorder
) -> None:
    told = Told(mails, "tried again and again: the payment provider answered 500", record_property)
    faults.plan("/provider")
    orders = shop.place_all([shop.order() for _ in range(SEVERAL)])
    assert "Ask the other side why it fails" in told.wait().text
    faults.mend()
    told.wait_for_end()
    shop.ends(orders)


def test_the_carrier_refuses_all(shop: Shop, mails: MailServer, record_property: Recorder) -> None:
    told = Told(mails, "orders were cancelled for one cause: address unreachable", record_property)
    shop.ends(shop.place_all([shop.order(address=UNREACHABLE) for _ in range(MANY)]))
    mail = told.wait()
    assert "pause new orders" in mail.text
    assert "cancel_code__exact=address_unreachable" in open_link(shop, mail)
    shop.all_confirmed(shop.place_all([shop.order() for _ in range(2 * MANY)]))
    told.wait_for_end()


@contextmanager
def run_bad_release(shop: Shop) -> Iterator[None]:
    """One more worker of inventory, which requires a field that no sender knows."""
    command = [
        sys.executable,
        "-m",
        "tests.acceptance.bad_release",
        "inventory",
        "worker",
        "--name",
        "bad@here",
    ]
    process = subprocess.Popen(command, cwd=ROOT, env=shop.stack.environment, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def test_a_bad_release_makes_dead_letters(shop: Shop, mails: MailServer, record_property: Recorder) -> None:
    # What is open already is told already.
    shop.rows("order", DEAL_WITH_LETTERS)
    until(lambda: not shop.rows("order", OPEN_INCIDENTS), "no dead letter of another test is told of")
    told = Told(
        mails, "of inventory.reserve_stock: it fits its task as this release knows it", record_property
    )
    orders: list[str] = []
    with run_bad_release(shop):

        def place_until_refused() -> bool:
            orders.append(shop.place())
            return bool(shop.dead_letters())

        until(place_until_refused, "the bad release refuses a message")
        told.began = time.monotonic()
        assert "take it back, or deploy it" in told.wait().text
    shop.ends(orders)
    for letter in shop.dead_letters():
        answer = shop.shopper.http.post(
            f"/api/dead-letters/{letter['id']}/dismiss/", json={"why": "taken back"}
        )
        answer.raise_for_status()
    told.wait_for_end()


def test_a_service_has_no_worker(shop: Shop, mails: MailServer, record_property: Recorder) -> None:
    told = Told(mails, "Shipment has no worker: orders wait", record_property)
    shop.process("shipment-worker").stop()
    try:
        orders = shop.place_all([shop.order() for _ in range(SEVERAL)])
        assert "./manage.py shipment worker" in told.wait().text
    finally:
        shop.restart_all("shipment-worker")
    told.wait_for_end()
    shop.ends(orders)


def test_a_database_was_restored_and_no_operator_was_told(
    shop: Shop, mails: MailServer, tmp_path: Path, record_property: Recorder
) -> None:
    told = Told(mails, "payment knows nothing of a step that was done", record_property)
    backup = BackedUp(shop, "payment", tmp_path)
    shop.all_confirmed(shop.place_all([shop.order() for _ in range(SEVERAL)]))
    with shop.wire.held_back("shipment", is_booking) as held:
        order = shop.place()
        saga = shop.saga(order)["id"]
        until(lambda: held.of(saga), "its money is held")
        until(lambda: knows(shop, saga, "authorize-payment"), "the saga log knows it")
        backup.restore()
        backup.start()
    told.began = time.monotonic()
    shop.wire.send(*held.letters)
    mail = told.wait()
    assert "severity:     page" in mail.text
    assert "Pause new orders, and recover the service's database" in mail.text
    backup.recover("--approve", "a test")
    shop.shopper.http.post(f"/api/sagas/{saga}/retry/", json={"why": "recovered"}).raise_for_status()
    assert shop.ends([order])[order].status == "cancelled"
    told.wait_for_end()
