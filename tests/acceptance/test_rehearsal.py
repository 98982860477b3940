"""The bad day on purpose, on the running system: each order has its fate, and all that waits can be mended."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import ViewportSize, expect

from celery_config.sandbox.fates import FATES, End
from tests.acceptance.browsing import find_clipped, launch_browser, log_in
from tests.acceptance.shop import Shop, until

LAST = re.compile(r"rehearse: (\d+) orders, (\d+) parked, 3 dead letters, after (\d+) s")
PARKED = "SELECT id, fingerprint FROM saga_sagainstance WHERE status = 'parked'"
CHOREOGRAPHED = "SELECT order_id AS id, fingerprint FROM order_choreography WHERE status = 'parked'"
FIND_WIDE_LIST = """() => {
    const list = document.querySelector("#result_list");
    return list ? list.scrollWidth - list.parentElement.clientWidth : 0;
}"""
BECAME = "SELECT became FROM saga_deadletter WHERE saga IS NOT NULL AND dealt_with_why = 'it is mended'"
LAPTOP = ViewportSize(width=1280, height=800)
CAUSES = (
    "to void the payment",
    "to cancel the shipment",
    "to dispatch the shipment",
    "nothing was heard of",
    "inventory knows nothing of a step that was done (release the stock): its database was set back",
    "cannot be driven: its messages are too large",
)
ALONE = "to cancel the shipment"
"""A cause with one order."""
WHY = "it is mended"
LETTERS = {
    "0 positional arguments instead of 1": "rebuild",
    "the broker closed the connection because of it, as rehearsed": "send-again",
    "unknown task 'shipment.weigh_parcel'": "dismiss",
}
"""The act that fits each dead letter, by its fault."""


FIRST_SCREEN = 5
"""So many causes a phone shows without scrolling."""
MEASURE = """() => [
    document.documentElement.scrollHeight,
    ...[...document.querySelectorAll("#board-waiting tbody tr")].map(row => row.getBoundingClientRect().bottom),
]"""


def look_at_the_board(shop: Shop) -> None:
    """On a phone the bad day is short, and the causes that are due first are on the first screen."""
    with launch_browser() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 844})
        log_in(page, f"{shop.stack.url('order')}/admin/", shop.stack.admin_login)
        height, *causes = page.evaluate(MEASURE)
        assert len(causes) >= len(CAUSES)
        # The row that is set aside unfolds the part with the messages.
        assert (height < 2700, causes[FIRST_SCREEN - 1] <= 844) == (True, True), (
            f"{height} px, causes end at {causes}"
        )
        assert not find_clipped(page)


def mend_from_the_board(shop: Shop, cause: str) -> None:
    """On a phone, three clicks and a reason bring the one order of a cause to its end."""
    with launch_browser() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 844})
        log_in(page, f"{shop.stack.url('order')}/admin/", shop.stack.admin_login)
        row = page.locator("#board-waiting tbody tr").filter(has_text=cause)
        row.get_by_role("link", name="Look and mend").click()
        page.locator("a.verb-recommended").click()
        dialog = page.locator("#verb-dialog")
        dialog.locator("textarea").fill(WHY)
        dialog.get_by_role("button", name="Bring to an end").click()
        expect(page.get_by_text("Watch here what becomes of it.")).to_be_visible()


@pytest.fixture
def mended(shop: Shop) -> Iterator[None]:
    yield
    httpx.delete(f"{shop.stack.sandbox_url}/control/faults", trust_env=False).raise_for_status()


def check_lists(shop: Shop) -> None:
    """On a wide page no list is wider than its place: what is right of a long sentence would not be seen."""
    with launch_browser() as browser:
        page = browser.new_page(viewport=ViewportSize(width=1440, height=900))
        admin = f"{shop.stack.url('order')}/admin/"
        log_in(page, admin, shop.stack.admin_login)
        for name in ("saga/deadletter", "saga/sagainstance", "order/choreography", "notifications/incident"):
            page.goto(f"{admin}{name}/")
            assert page.evaluate(FIND_WIDE_LIST) <= 0, f"{name} is too wide"


def test_a_bad_day_is_rehearsed_and_mended(shop: Shop, mended: None) -> None:
    before = len(shop.dead_letters())
    done = shop.command("order", "rehearse")
    told = LAST.search(done.stdout)
    assert told is not None, done.stdout + done.stderr
    assert int(told[1]) > len(FATES)
    parked, choreographed = shop.rows("order", PARKED), shop.rows("order", CHOREOGRAPHED)
    assert len(parked) + len(choreographed) == int(told[2]) > sum(f.end is End.PARKED for f in FATES.values())
    assert [cause for cause in CAUSES if not any(cause in row["fingerprint"] for row in parked)] == []
    letters = {letter["fault"]: letter for letter in shop.dead_letters()[before:]}
    assert letters.keys() == LETTERS.keys()
    assert shop.rows("payment", "SELECT 1 FROM messaging_contradiction WHERE reason LIKE 'amount: asked %%'")
    look_at_the_board(shop)
    check_lists(shop)
    assert min(measure_causes(shop)) >= 240

    httpx.delete(f"{shop.stack.sandbox_url}/control/faults", trust_env=False).raise_for_status()
    for option in ("--begin", "--approve"):
        shop.command("inventory", "recover", option, WHY)
    mend_from_the_board(shop, ALONE)
    for fault, act in LETTERS.items():
        answer = shop.shopper.http.post(f"/api/dead-letters/{letters[fault]['id']}/{act}/", json={"why": WHY})
        assert answer.is_success, answer.text
    driven = {letter["saga"] for letter in letters.values() if letter["saga"]}
    others = [row for row in parked if ALONE not in row["fingerprint"] and row["id"] not in driven]
    assert len(others) == len(parked) - len(driven) - 1
    for kind, rows in (("sagas", others), ("orders", choreographed)):
        for row in rows:
            verb = "resume" if "dispatch the shipment" in row["fingerprint"] else "retry"
            answer = shop.shopper.http.post(f"/api/{kind}/{row['id']}/{verb}/", json={"why": WHY})
            assert answer.is_success, answer.text
    until(lambda: not shop.rows("order", PARKED) + shop.rows("order", CHOREOGRAPHED), "nothing is parked")
    until(
        lambda: not shop.rows("order", "SELECT 1 FROM order_order WHERE ended_at IS NULL"),
        "every order has ended",
    )
    assert not shop.rows("order", "SELECT 1 FROM order_order WHERE status = 'cancelled' AND cancel_code = ''")
    until(
        lambda: [row["became"] for row in shop.rows("order", BECAME)] == ["compensated"] * 2,
        "of the letters of orders it is known what became of them",
    )
    for letter in letters.values():
        shop.rows("order", "DELETE FROM saga_deadletter WHERE id = %s RETURNING id", letter["id"])


def measure_causes(shop: Shop) -> list[float]:
    """How wide the causes are on the board; a narrow one is a sentence with one word a line."""
    with launch_browser() as browser:
        page = browser.new_page(viewport=LAPTOP)
        log_in(page, f"{shop.stack.url('order')}/admin/", shop.stack.admin_login)
        boxes = [cause.bounding_box() for cause in page.locator(".board :is(td, th) > .broken").all()]
        return [box["width"] for box in boxes if box]
