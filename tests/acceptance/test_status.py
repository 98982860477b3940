"""`./manage.py status` on the running system."""

from __future__ import annotations

import io
import re

from rich.console import Console

from compose.local.running import Announcement
from compose.local.status import print_state
from tests.acceptance.shop import Shop, until
from tests.modes import find_open


def state(shop: Shop) -> tuple[int, str]:
    console = Console(file=io.StringIO(), record=True, width=200)
    running = Announcement(0, [], shop.stack.environment, shop.stack.flower_url)
    return print_state(running, console), console.export_text()


def test_what_works_and_what_waits_for_a_human(shop: Shop) -> None:
    until(lambda: state(shop)[0] == 0, "everything moves")
    _, text = state(shop)
    for service in ("order", "payment", "inventory", "shipment"):
        assert f"{shop.stack.url(service)}/admin/" in text
    assert shop.stack.flower_url in text
    [letter] = shop.rows(
        "order",
        "INSERT INTO saga_deadletter (reason, queue, task, task_id, step, operation, fault, consequence, headers, body)"
        " VALUES ('rejected', 'q', '', '', '', '', '', 'kept', '{}', '') RETURNING id",
    )
    # Other tests leave letters of their own.
    [waiting] = shop.rows("order", "SELECT count(*) AS n FROM saga_deadletter WHERE dealt_with_at IS NULL")
    url = f"{shop.stack.url('order')}/admin/saga/deadletter/"
    letters = "1 dead letter" if waiting["n"] == 1 else f"{waiting['n']} dead letters"
    assert f"{letters}: {url}" in state(shop)[1]
    shop.rows("order", "DELETE FROM saga_deadletter WHERE id = %s RETURNING id", letter["id"])


def test_a_contradiction_waits_for_a_human(shop: Shop) -> None:
    [row] = shop.rows(
        "payment",
        "INSERT INTO messaging_contradiction (event, kind, key, subject, reason, told) VALUES"
        " ('evt-status', 'k', gen_random_uuid(), gen_random_uuid(), 'no call of ours has this key', '{}') RETURNING id",
    )
    # Other tests leave contradictions of their own.
    pattern = r"payment: \d+ contradictions? from outside in 24 h: "
    assert re.search(
        pattern + re.escape(f"{shop.stack.url('payment')}/admin/messaging/contradiction/"), state(shop)[1]
    )
    shop.rows("payment", "DELETE FROM messaging_contradiction WHERE id = %s RETURNING id", row["id"])


def test_what_the_stack_keeps_is_for_its_users_alone(shop: Shop) -> None:
    assert find_open(shop.stack.var) == []


def test_what_does_not_work(shop: Shop) -> None:
    shop.process("shipment-web").stop()
    try:
        code, text = state(shop)
    finally:
        shop.restart_all("shipment-web")
    assert code == 1
    assert "no answer" in text
