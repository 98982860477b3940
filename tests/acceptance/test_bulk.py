"""Forty orders of one cause, from the board to their ends: three clicks and a reason, on a phone."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from celery_config.saga.operations.wording import STATUS_WORDS
from celery_config.saga.states import Status
from celery_config.sandbox.words import Token
from tests.acceptance.browsing import Complaints, find_clipped, launch_browser, log_in
from tests.acceptance.shop import UNREACHABLE, Shop, until
from tests.acceptance.test_operators import LONG_AGO

FORTY = 40
CAUSE = "the payment provider answered 500 when asked to void the payment"
PHONE = {"width": 390, "height": 844}
OUTCOME_SECONDS = 30
"""So long an operator waits at most until all forty have their final outcome."""
IN_SIGHT = """() => [...document.querySelectorAll("#act textarea, #act [type=submit]")].map(each => {
    const box = each.getBoundingClientRect();
    return box.top >= 0 && box.bottom <= innerHeight
        && each.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2));
})"""


@pytest.fixture
def orders(shop: Shop) -> Iterator[list[str]]:
    """Forty that the carrier refuses, and whose money cannot be released."""
    fields = {"payment_token": Token.VOID_FAILS.value, "address": UNREACHABLE}
    yield shop.place_all([shop.order(**fields) for _ in range(FORTY)])
    mend(shop)


@pytest.fixture
def page(shop: Shop) -> Iterator[Page]:
    with launch_browser() as browser:
        page = browser.new_context(viewport=PHONE).new_page()
        log_in(page, f"{shop.stack.url('order')}/admin/", shop.stack.admin_login)
        yield page


def mend(shop: Shop) -> None:
    httpx.delete(f"{shop.stack.sandbox_url}/control/faults", trust_env=False).raise_for_status()


def count(shop: Shop, condition: str, orders: list[str]) -> int:
    query = f"SELECT count(*) AS n FROM saga_sagainstance saga WHERE subject = ANY(%s) AND {condition}"
    return int(shop.rows("order", query, orders)[0]["n"])


def park(shop: Shop, orders: list[str]) -> None:
    """They have been driven for a day; the watchdog parks them when it looks again."""
    failed = "EXISTS (SELECT 1 FROM saga_sagastep WHERE saga_id = saga.id AND failure IS NOT NULL)"
    patience = 60 + len(orders) / 2
    until(lambda: count(shop, failed, orders) == len(orders), "each void was given up", patience=patience)
    older = (
        "UPDATE saga_sagainstance SET since = since - %s, due_at = now() - interval '1 day'"
        " WHERE subject = ANY(%s) AND status = 'stopping' RETURNING id"
    )
    shop.rows("order", older, LONG_AGO, orders)
    until(
        lambda: count(shop, "status = 'parked'", orders) == len(orders), "all are parked", patience=patience
    )


def test_forty_are_brought_to_their_ends_from_the_board(shop: Shop, orders: list[str], page: Page) -> None:
    park(shop, orders)
    page.reload()
    row = page.locator("#board-waiting tbody tr").filter(has_text=CAUSE)
    expect(row).to_contain_text(f"{FORTY} sagas")
    row.get_by_role("link", name="Look and mend").click()
    page.get_by_role("link", name=f"Bring to an end: all {FORTY}").click()
    assert [*page.evaluate(IN_SIGHT)] == [True, True], "the reason and the button are in sight"
    assert not find_clipped(page)
    page.locator("#act textarea").fill("the provider is mended")
    began = time.monotonic()
    page.get_by_role("button", name="Bring to an end").click()
    expect(page.locator("#acted")).to_contain_text(f"What became of {FORTY} sagas")
    one = page.context.new_page()
    one.goto(f"{shop.stack.url('order')}/admin/saga/sagainstance/{shop.saga(orders[0])['id']}/change/")
    expect(one.locator("#standing")).to_have_count(1)
    complaints = Complaints()
    order = complaints.watch(page.context.new_page())
    order.goto(f"{shop.stack.url('order')}/admin/order/order/{orders[0]}/change/")
    # Not before: what a participant tries again by itself would end before it is acted on.
    mend(shop)
    ended = f"{FORTY} {STATUS_WORDS[Status.COMPENSATED]}"
    expect(page.locator("#acted")).to_contain_text(ended, timeout=1000 * OUTCOME_SECONDS)
    print(f"all {FORTY} have their final outcome after {time.monotonic() - began:.1f} s")
    assert count(shop, "status = 'compensated'", orders) == FORTY
    # The page of one follows to the end, also below its story.
    status = re.compile(STATUS_WORDS[Status.COMPENSATED], re.IGNORECASE)
    expect(one.locator("#sagainstance_form")).to_contain_text(status)
    expect(one.locator("#standing")).to_have_count(0)
    expect(order.locator(".story-sentence")).to_contain_text("everything undone")
    assert complaints == []


def test_what_fails_is_on_the_board_before_it_is_parked_and_can_be_hurried(
    shop: Shop, orders: list[str], page: Page
) -> None:
    row = page.locator("#board-failing tbody tr").filter(has_text=CAUSE)
    expect(row).to_contain_text(f"{FORTY} sagas", timeout=60_000)
    assert not find_clipped(page)
    row.get_by_role("link", name="Look and hurry").click()
    page.get_by_role("link", name="Bring to an end: all").click()
    page.locator("#act textarea").fill("the provider is mended")
    page.get_by_role("button", name="Bring to an end").click()
    expect(page.locator("#acted")).to_contain_text("What became of")
    mend(shop)
    expect(page.locator("#acted")).to_contain_text(STATUS_WORDS[Status.COMPENSATED], timeout=30_000)
    until(lambda: count(shop, "status = 'compensated'", orders) == FORTY, "all are undone")
