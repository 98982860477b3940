"""Many dead letters of three kinds: grouped, one tried, the rest sent again by a batch, some dismissed.

Each has its true outcome, though the relay is killed meanwhile, and the orders are as they were.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

import pytest
from playwright.sync_api import expect

from celery_config.broker.message_authentication import MessageKeys
from celery_config.broker.topology import DEAD_LETTERS
from tests.acceptance.browsing import find_barriers, find_clipped, open_wide_and_narrow
from tests.acceptance.shop import Shop, until
from tests.acceptance.test_batches import ask, read, read_items
from tests.acceptance.wire import Letter
from tests.long_form import is_long

MANY = 10_000 if is_long() else 300
ORDERS = MANY // 10 if is_long() else 30
COUNTS = {"sound": MANY // 2, "event": MANY // 4, "broken": MANY // 4}
PATIENCE = 60 + MANY / 10
SEND, DISMISS = "send again", "dismiss"
TASK, KIND, NO_EMBED = (
    "inventory.reserve_stock",
    "payment.payment_captured",
    {"chain": None, "errbacks": None},
)


def kill(letter: Letter, body: Any = None, **headers: str) -> Letter:
    """Return a message as it lies among the dead letters, after it was delivered again and again."""
    died = {"x-first-death-queue": letter.queue, "x-first-death-reason": "delivery_limit", **headers}
    return replace(
        letter,
        queue=DEAD_LETTERS,
        body=letter.body if body is None else json.dumps(body).encode(),
        properties={**letter.properties, "application_headers": {**letter.headers, **died}},
    )


def spoil(letter: Letter, keys: MessageKeys) -> Letter:
    """Return a command of which a field is lost, as its sender would have signed it."""
    args, kwargs, embed = json.loads(letter.body)
    command = {name: value for name, value in kwargs["command"].items() if name != "lines"}
    kwargs["command"] = command
    kwargs |= keys.sign_message("inventory", TASK, kwargs)
    return kill(letter, [args, kwargs, embed], **{"x-first-death-reason": "rejected"})


def list_captured(letters: Sequence[Letter]) -> Iterator[Letter]:
    """Each event by which payment said that it took the money, in a message of its own."""
    for letter in letters:
        if letter.queue != "order.events":
            continue
        kwargs = letter.kwargs
        for event in kwargs.get("events", [kwargs]):
            if event["type"] == KIND:
                headers = {"task": "events.receive", "id": event["id"]}
                yield kill(letter, [[], event, NO_EMBED], **headers)


@pytest.fixture
def letters(shop: Shop) -> dict[str, list[Letter]]:
    """Messages of orders that have completed: sound commands, sound events, and commands that no worker can read."""
    with shop.wire.copies() as copied:
        orders = shop.place_all([shop.order() for _ in range(ORDERS)])
        shop.all_confirmed(orders, patience=PATIENCE)
        until(lambda: len({*map(event_id, list_captured(copied))}) >= ORDERS, "each event was copied")
    keys = shop.message_keys("inventory")
    commands = [letter for letter in copied if letter.task == TASK]
    kinds = {
        "sound": map(kill, commands),
        "event": list_captured(copied),
        "broken": (spoil(each, keys) for each in commands),
    }
    return {kind: [*islice(cycle([*some]), COUNTS[kind])] for kind, some in kinds.items()}


def event_id(letter: Letter) -> str:
    return str(letter.headers["id"])


def list_groups(shop: Shop) -> dict[str, dict[str, Any]]:
    found = shop.shopper.http.get("/api/dead-letters/groups/").raise_for_status().json()["groups"]
    return {group["fingerprint"]: group for group in found}


def find_group(groups: Any, task: str, fault: str) -> str:
    (found,) = [pk for pk, each in groups.items() if each["task"] == task and fault in each["fault"]]
    return str(found)


def run_batch(shop: Shop, group: str, act: str, *, killed: bool = False, **more: Any) -> Counter[Any]:
    """Act on a group by a batch, and return where its letters stand in the end."""
    kind = "saga.deadletter"
    batch = ask(shop, "batches/", kind=kind, verb=act, fingerprint=group, **more)["id"]
    until(lambda: read(shop, batch)["state"] == "ready", "the dry run is done", patience=PATIENCE)
    assert (
        shop.rows("order", "SELECT 1 FROM saga_deadletter WHERE act <> '' AND fingerprint = %s", group) == []
    )
    ask(shop, f"batches/{batch}/start/")
    if killed:
        acted = "SELECT 1 FROM saga_deadletter WHERE act <> '' AND fingerprint = %s LIMIT 1"
        until(lambda: shop.rows("order", acted, group), "one was acted on")
        shop.stack.supervisor.kill("order-relay")
        shop.stack.restart("order-relay")
    until(lambda: read(shop, batch)["settled_at"], "each has its outcome", patience=PATIENCE)
    return Counter((row["state"], row["outcome"]) for row in read_items(shop, batch))


def look_at_pages(shop: Shop, group: str, letter: int) -> None:
    """The groups, one group and one letter, wide and narrow: nothing is in anybody's way."""
    base = f"{shop.stack.url('order')}/admin/saga/deadletter/"
    pages = {
        base: "since release",
        f"{base}?fingerprint={group}&dealt_with_at__isempty=1": "open letters",
        f"{base}{letter}/change/": "the fault is here",
    }
    home = f"{shop.stack.url('order')}/admin/"
    for page, complaints in open_wide_and_narrow(home, shop.stack.admin_login):
        for url, says in pages.items():
            page.goto(url)
            expect(page.locator("#content, main").first).to_contain_text(says, ignore_case=True)
            assert [*find_barriers(page), *find_clipped(page), *complaints] == [], url


def test_each_has_its_true_outcome(shop: Shop, letters: dict[str, list[Letter]]) -> None:
    known = list_groups(shop)
    before = {order["id"]: order["status"] for order in list_orders(shop)}
    newest = "SELECT coalesce(max(id), 0) AS n FROM saga_deadletter"
    first = shop.rows("order", newest)[0]["n"]
    for some in letters.values():
        shop.wire.send(*some)
    count = "SELECT count(*) AS n FROM saga_deadletter WHERE id > %s"
    until(lambda: shop.rows("order", count, first)[0]["n"] == MANY, "all are kept", patience=PATIENCE)

    groups = {pk: each for pk, each in list_groups(shop).items() if pk not in known}
    sound, broken = find_group(groups, TASK, "delivered again"), find_group(groups, TASK, "`lines`")
    event = find_group(groups, "events.receive", "delivered again")
    found = {pk: groups[pk]["count"] for pk in groups}
    assert found == {sound: COUNTS["sound"], broken: COUNTS["broken"], event: COUNTS["event"]}

    http = shop.shopper.http
    (line,) = http.get(f"/api/dead-letters/?fingerprint={broken}&limit=1").json()["results"]
    one = http.get(f"/api/dead-letters/{line['id']}/").json()
    assert [each["path"] for each in one["body"] if each["is_faulty"]] == ["lines"]
    look_at_pages(shop, broken, line["id"])

    sent = run_batch(shop, sound, SEND, killed=True, one_first=True)
    assert sent == {("acted", "done"): COUNTS["sound"]}
    announced = run_batch(shop, event, SEND)
    assert announced == {("acted", "completed"): COUNTS["event"]}
    refused = run_batch(shop, broken, SEND)
    assert refused == {("refused", ""): COUNTS["broken"]}
    dismissed = run_batch(shop, broken, DISMISS)
    assert dismissed == {("acted", "dismissed"): COUNTS["broken"]}

    assert list_groups(shop).keys() <= known.keys(), "none came back"
    assert {order["id"]: order["status"] for order in list_orders(shop)} == before
    acts = (
        "SELECT verb, count(DISTINCT what) AS n, count(*) AS whole FROM saga_operatoraction"
        " WHERE what LIKE %s GROUP BY 1"
    )
    trail = {row["verb"]: (row["n"], row["whole"]) for row in shop.rows("order", acts, "dead letter %")}
    assert trail["send again"] == (COUNTS["sound"] + COUNTS["event"],) * 2, "nothing is done twice"
    assert trail["dismiss"] == (COUNTS["broken"],) * 2


def list_orders(shop: Shop) -> list[dict[str, Any]]:
    return shop.rows("order", "SELECT id, status FROM order_order")
