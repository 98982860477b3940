"""Somebody is told: a mail server, a receiver of webhooks that fails at first, and processes that die.

The relay watches the notifier, and the notifier the relay.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from celery_config.sandbox.words import Token
from tests.acceptance.shop import UNREACHABLE, Shop, until
from tests.acceptance.test_batches import ask
from tests.acceptance.test_bulk import CAUSE, mend, park
from tests.mail_server import MailServer, serve_mail
from tests.webhook_receiver import Receiver, receive

SEVERAL = 4
DECIDE = f"for a decision: {CAUSE}"
"""Before that it is told that it is tried again and again."""
SECRET = "whsec_" + "c29tZWJvZHkgaXMgdG9sZCB3aGF0IHN0YW5kcw=="
READER = "night-shift@example.com"
LETTER = "a message that no worker knows"
PROCESSES = ("order-notifier", "order-relay")


@pytest.fixture(scope="module")
def mails(open_shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    """A mail server to which notifier and relay send."""
    with serve_mail(tmp_path_factory.mktemp("mails")) as server:
        settings = {"EMAIL_URL": server.url, "NOTIFY_EMAILS": READER, "NOTIFY_FROM": "saga@example.com"}
        with open_shop.restarted_with(settings, *PROCESSES):
            yield server


@pytest.fixture
def receiver(shop: Shop) -> Iterator[Receiver]:
    with receive() as receiver:
        insert = (
            "INSERT INTO notifications_notificationrule (name, enabled, channel, emails, url, secret, kinds,"
            " least_severity, repeat_seconds, from_environment)"
            " VALUES ('hook', true, 'webhook', '', %s, %s, '[\"parked\"]', 'ticket', 0, false) RETURNING id"
        )
        (row,) = shop.rows("order", insert, receiver.url, SECRET)
        yield receiver
        shop.rows("order", "UPDATE notifications_notificationrule SET enabled = false WHERE id = %s RETURNING id",
                  row["id"])  # fmt: skip


def read_bodies(receiver: Receiver, type: str) -> list[Any]:
    """What was taken of this type and of our cause; each signature is right."""
    return [
        body["data"]
        for body in receiver.verify(SECRET)
        if body["type"] == type and CAUSE in body["data"]["cause"]
    ]


def test_a_cause_is_told_once_and_when_it_is_over(shop: Shop, mails: MailServer, receiver: Receiver) -> None:
    receiver.answers = [500, 503]
    fields = {"payment_token": Token.VOID_FAILS.value, "address": UNREACHABLE}
    orders = shop.place_all([shop.order(**fields) for _ in range(SEVERAL)])
    park(shop, orders)
    until(lambda: read_bodies(receiver, "incident.opened"), "the webhook arrives")
    assert receiver.refused == 2
    (mail,) = until(lambda: mails.read(DECIDE), "the e-mail arrives")
    assert mail.to == READER
    assert "Look and mend: http://127.0.0.1:" in mail.text
    assert "held" in mail.text
    assert "€" in mail.text
    (opened,) = read_bodies(receiver, "incident.opened")
    until(lambda: find_incident(shop, opened["incident"])["count"] == SEVERAL, "it counts all of them")
    acknowledged = shop.shopper.http.post(
        f"/api/incidents/{opened['incident']}/acknowledgement/", json={"note": "the provider is being mended"}
    )
    assert acknowledged.json()["state"] == "acknowledged"
    mend(shop)
    for row in shop.rows("order", "SELECT id FROM saga_sagainstance WHERE subject = ANY(%s)", orders):
        ask(shop, f"sagas/{row['id']}/retry/")
    (over,) = until(lambda: read_bodies(receiver, "incident.over"), "the webhook says that it is over")
    assert over["incident"] == opened["incident"]
    assert over["acknowledged_by"] == shop.stack.admin_login[0]
    until(lambda: len(mails.read(DECIDE)) > 1, "so does an e-mail")
    assert [each.subject[:5] for each in mails.read(DECIDE)[1:]] == ["Over:"]
    assert len(read_bodies(receiver, "incident.opened")) == 1, f"one message, and not one of {SEVERAL}"


def find_incident(shop: Shop, incident: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = shop.shopper.http.get("/api/incidents/?state=open").json()["results"]
    return next(each for each in found if each["id"] == incident)


def test_the_relay_tells_that_the_notifier_is_dead(shop: Shop, mails: MailServer) -> None:
    shop.stack.supervisor.kill("order-notifier")
    (mail,) = until(lambda: mails.read("The notifier has not looked"), "the relay tells of it")
    assert mail.to == READER
    ready = shop.shopper.http.get("/readyz").json()
    assert ready["ready"]
    assert "the notifier is dead" in ready["notifier"]
    shop.stack.restart("order-notifier")
    until(lambda: mails.read("Over: The notifier"), "the notifier says that it is over")
    assert len(mails.read("The notifier has not looked")) == 2
    assert shop.shopper.http.get("/readyz").json()["notifier"] == "ok"


def test_the_notifier_tells_without_a_relay_and_that_it_is_dead(shop: Shop, mails: MailServer) -> None:
    shop.stack.supervisor.kill("order-relay")
    insert = (
        "WITH letter_group AS (INSERT INTO saga_lettergroup (fingerprint, task, fault, release)"
        " VALUES ('by hand', '', %s, ''))"
        " INSERT INTO saga_deadletter (reason, queue, task, task_id, step, operation, fault, fingerprint, consequence,"
        " act, became, headers, body)"
        " VALUES ('rejected', 'order.commands', '', '', '', '', %s, 'by hand', 'nothing', '', '', '{}', '')"
        " RETURNING id"
    )
    (letter,) = shop.rows("order", insert, LETTER, LETTER)
    try:
        until(lambda: mails.read(f"1 dead letter: {LETTER}"), "a letter is told of")
        until(lambda: mails.read("relay is dead"), "its death is told of")
    finally:
        shop.stack.restart("order-relay")
        shop.rows("order", "DELETE FROM saga_deadletter WHERE id = %s RETURNING id", letter["id"])
        shop.rows("order", "DELETE FROM saga_lettergroup WHERE fingerprint = 'by hand' RETURNING fingerprint")
    until(lambda: mails.read("Over: The order service's relay"), "so is its end")
    assert len(mails.read("relay is dead")) == 2
