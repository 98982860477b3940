"""The order desk in a real browser: an order is placed, travels without a reload, and is cancelled in mid-flight."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.browsing import Complaints, find_barriers, find_clipped, launch_browser, log_in
from tests.acceptance.shop import TEA, Shop

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
MOST_SECONDS = 30.0
ORDERS = "#desk-orders article"


@pytest.fixture
def desk(shop: Shop) -> Iterator[Page]:
    """The desk, opened by the administrator; the browser has nothing to complain about."""
    complaints = Complaints()
    with launch_browser() as browser:
        page = complaints.watch(browser.new_page(viewport=DESKTOP))
        page.set_default_timeout(1000 * MOST_SECONDS)
        expect.set_options(timeout=1000 * MOST_SECONDS)
        log_in(page, f"{shop.stack.url('order')}/admin/order/desk/", shop.stack.admin_login)
        yield page
    assert complaints == []


def choose(page: Page, sku: str) -> None:
    """Order one product alone."""
    while (left_out := page.get_by_role("button", name="Leave out")).count():
        left_out.first.click()
    page.fill("#desk-search", sku)
    page.click(f"#desk-products button:has(small:text-is('{sku}'))")
    expect(page.locator("#desk-lines li")).to_have_count(1)


def test_an_order_travels_and_is_cancelled_in_mid_flight(desk: Page) -> None:
    choose(desk, TEA)
    desk.select_option("[name=fate]", "never")
    desk.get_by_role("button", name="Place").click()
    expect(desk.locator("#desk-told")).to_contain_text("Placed 1 order.")
    first = desk.locator(ORDERS).first
    expect(first).to_contain_text("calling now")  # it may be an earlier order until then
    for_readers = first.locator(".sr-only").bounding_box()
    assert for_readers is not None
    assert for_readers["width"] <= 1
    number = first.locator("header").inner_text().split()[0]
    first.get_by_role("button", name="Cancel").click()
    expect(desk.locator("#desk-cancelled")).to_contain_text("Cancelling was asked for")
    ours = desk.locator(ORDERS).filter(has_text=number)
    expect(ours).to_contain_text("cancelled, everything undone")
    expect(ours).to_contain_text("cancelled by us")
    for scheme in ("light", "dark"):
        desk.emulate_media(color_scheme=scheme)
        assert find_barriers(desk) == []
    desk.set_viewport_size(PHONE)
    assert find_clipped(desk) == []


def test_a_double_click_places_one_order(desk: Page) -> None:
    choose(desk, TEA)
    desk.select_option("[name=fate]", "fine")
    asked: list[str] = []
    desk.on("request", lambda request: asked.append(request.url) if request.url.endswith("/place/") else None)
    desk.get_by_role("button", name="Place").dblclick()
    expect(desk.locator("#desk-told")).to_contain_text("Placed 1 order.")
    expect(desk.locator("#desk-form.htmx-request")).to_have_count(0)
    assert len(asked) == 1


def test_many_are_placed_second_by_second_until_it_is_stopped(desk: Page) -> None:
    choose(desk, TEA)
    desk.select_option("[name=fate]", "fine")
    desk.fill("[name=count]", "200")
    desk.get_by_role("button", name="Place").click()
    told = desk.locator("#desk-told")
    expect(told).to_contain_text("Placed 3, 197 to come")
    desk.get_by_role("button", name="Stop").click()
    expect(told).to_be_empty()
    expect(desk.locator(ORDERS).first).to_contain_text("all 6 steps are done")


def test_a_product_that_is_added_again_is_ordered_twice(desk: Page) -> None:
    choose(desk, TEA)
    desk.click(f"#desk-products button:has(small:text-is('{TEA}'))")
    expect(desk.locator("#desk-lines [name=quantity]")).to_have_value("2")
    expect(desk.locator("#desk-lines li")).to_have_count(1)


def test_the_request_is_shown_as_curl(desk: Page) -> None:
    choose(desk, TEA)
    desk.locator("#desk-curl summary").click()
    expect(desk.locator("#desk-curl pre")).to_contain_text(f'"sku": "{TEA}"')
    desk.select_option("[name=fate]", "declined")
    expect(desk.locator("#desk-curl pre")).to_contain_text("tok_card_declined")
