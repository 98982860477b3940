"""The pages as a person sees them, in a real browser: four admins at once, API docs, home, Flower."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from celery_config.common.moments import format_span
from celery_config.common.services import SERVICES
from celery_config.saga.operations.wording import describe_status
from tests.acceptance.browsing import (
    Complaints,
    find_barriers,
    find_clipped,
    launch_browser,
    list_links,
    log_in,
)
from tests.acceptance.shop import SOLD_OUT, Shop, until
from tests.long_form import draw, is_long

# What is wrong with a list; nothing of one that is as wide as its place, with rows of a line or two.
FIND_UNTIDY = """() => {
    const list = document.querySelector("#result_list");
    if (!list) return [];
    const place = list.parentElement.clientWidth;
    const wide = list.scrollWidth > place ? [`${list.scrollWidth} px in ${place}`] : [];
    const high = [...list.querySelectorAll("tbody tr")].filter(row => row.offsetHeight >= 60);
    return [...wide, ...high.map(row => `${row.offsetHeight} px high: ${row.innerText}`)].slice(0, 3);
}"""

# On a phone: nothing is beyond the edge, and each line of a card is as wide as the card and whole.
FITS_A_PHONE = """() => document.documentElement.scrollWidth <= innerWidth
    && [...document.querySelectorAll("#result_list tbody tr")].every(row => [...row.cells].every(
        cell => cell.scrollWidth <= cell.clientWidth && row.clientWidth - cell.offsetWidth < 2
    ))
    && [...document.querySelectorAll("#result_list tbody [data-label]")].every(cell => {
        // The name of a column is in one line, and has capitals where it is written with them.
        const name = getComputedStyle(cell, "::before");
        return name.textTransform === "none" && !(parseFloat(name.height) >= 2 * (parseFloat(name.lineHeight) || 18));
    })"""
LOOKS: Any = [(390, "light"), (1440, "dark"), (390, "dark"), (1440, "light")]
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


FIRST_PAGES, DRAWN = 4, 16
"""The root, the board, the search and an order are always looked at; so many of the other pages are drawn."""
SHOWN_WIDTHS = "parts => parts.map(part => [part.offsetWidth, part.scrollWidth]).filter(([width]) => width)"
# In px: "Place-order of 01a2…" is longer.
MOST_OF_A_NAME = 60


def fits_a_phone(page: Page) -> bool:
    page.set_viewport_size(PHONE)
    fits = bool(page.evaluate(FITS_A_PHONE))
    page.set_viewport_size(DESKTOP)
    return fits


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launch_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def orders(open_shop: Shop) -> list[str]:
    """One order of each kind, so that no list is empty."""
    fine, refused = open_shop.place_all([open_shop.order(), open_shop.order((SOLD_OUT, 1))])
    open_shop.ends([fine, refused])
    answer = open_shop.shopper.http.post(
        f"/api/orders/{fine}/refunds/", json={"amount": 1, "reason": "shown in the admin"}
    )
    refund = answer.raise_for_status().json()["id"]
    paid = "SELECT 1 FROM order_refund WHERE id = %s AND status = 'paid'"
    until(lambda: open_shop.rows("order", paid, refund), "the refund is paid")
    return [fine, refused]


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture(scope="module")
def context(browser: Browser, open_shop: Shop) -> Iterator[BrowserContext]:
    """A browser that is logged in to all four admins at once."""
    with browser.new_context(viewport=DESKTOP) as context:
        complaints = Complaints()
        page = complaints.watch(context.new_page())
        for service in SERVICES:
            log_in(page, f"{open_shop.stack.url(service)}/admin/", open_shop.stack.admin_login)
        assert not complaints
        page.close()
        yield context


@pytest.fixture(scope="module")
def lists(context: BrowserContext, open_shop: Shop, orders: list[str]) -> Mapping[str, list[str]]:
    """The lists to which the four admins link: the path of each, and its address at each service that has it."""
    found: dict[str, list[str]] = defaultdict(list)
    page = context.new_page()
    for service in SERVICES:
        home = f"{open_shop.stack.url(service)}/admin/"
        page.goto(home)
        assert "/login/" not in page.url, f"{service} has forgotten who we are"
        urls = sorted({url for url in list_links(page) if is_list(url, home)})
        # The four lists of messaging and accounts at least.
        assert len(urls) >= 6, urls
        for url in urls:
            found[urlsplit(url).path].append(url)
    page.close()
    return found


@pytest.mark.usefixtures("orders")
class TestTheAdmins:
    def test_are_open_side_by_side_and_show_every_list_and_a_row_of_each(
        self, context: BrowserContext, lists: Mapping[str, list[str]], complaints: Complaints
    ) -> None:
        """A list that several services have, at one of them in turn; in the long form at each of them."""
        page = complaints.watch(context.new_page())
        for turn, urls in enumerate(lists.values()):
            for n, url in enumerate(urls if is_long() else [urls[turn % len(urls)]]):
                answer = page.goto(url)
                assert answer
                assert answer.status == 200, url
                assert page.evaluate(FIND_UNTIDY) == [], url
                # It looks the same at each.
                assert n or fits_a_phone(page), f"{url} does not fit a phone"
                rows = list_links(page, "#result_list a[href*='/change/']")
                if rows:
                    detail = page.goto(rows[0])
                    assert detail
                    assert detail.status == 200, rows[0]
                    assert n or fits_a_phone(page), f"{rows[0]} does not fit a phone"
        assert not complaints
        page.close()

    def test_can_be_used_by_everybody(
        self,
        open_shop: Shop,
        context: BrowserContext,
        orders: list[str],
        lists: Mapping[str, list[str]],
        complaints: Complaints,
    ) -> None:
        """Some pages that are drawn, narrow or wide, light or dark in turn; in the long form each in all four looks."""
        page = complaints.watch(context.new_page())
        faults: list[str] = []
        pages = list_pages(page, open_shop, orders, lists)
        for n, url in enumerate([*pages[:FIRST_PAGES], *draw(pages[FIRST_PAGES:], DRAWN)]):
            for width, scheme in LOOKS if is_long() else [LOOKS[n % len(LOOKS)]]:
                page.set_viewport_size({"width": width, "height": 900})
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                page.goto(url)
                look = f"{width} px, {scheme}"
                faults += [f"{look}: {fault}" for fault in (*find_barriers(page), *find_clipped(page))]
        assert not faults, "\n".join(faults)
        assert not complaints
        page.close()

    def test_menus_and_searches_work_under_the_content_security_policy(
        self, open_shop: Shop, context: BrowserContext, complaints: Complaints
    ) -> None:
        page = complaints.watch(context.new_page())
        home = f"{open_shop.stack.url('order')}/admin/"
        page.goto(f"{home}order/customer/")
        page.keyboard.press("Control+k")  # Alpine opens it
        page.wait_for_selector("input[type=search]:focus")
        page.keyboard.type("customers")
        page.wait_for_selector("#command-results a")  # htmx fills it
        for form in ("password_change/", "auth/user/add/", "order/customer/add/"):
            page.goto(home + form)
        assert not complaints
        page.close()

    def test_a_list_is_350_kb_the_first_time_and_50_kb_later(
        self, open_shop: Shop, browser: Browser, context: BrowserContext
    ) -> None:
        with browser.new_context(storage_state=context.storage_state()) as fresh:
            page = fresh.new_page()
            loaded: dict[str, int] = {}
            urls: dict[str, str] = {}
            network = fresh.new_cdp_session(page)
            network.on(
                "Network.requestWillBeSent", lambda it: urls.update({it["requestId"]: it["request"]["url"]})
            )
            network.on(
                "Network.loadingFinished",
                lambda it: loaded.update({urls[it["requestId"]]: it["encodedDataLength"]}),
            )
            network.send("Network.enable")
            sizes = []
            for model in ("order", "customer"):
                loaded.clear()
                page.goto(f"{open_shop.stack.url('order')}/admin/order/{model}/", wait_until="networkidle")
                sizes.append({**loaded})
        assert 100_000 < sum(sizes[0].values()) < 350_000, str(sizes[0])
        assert sum(sizes[1].values()) < 50_000, str(sizes[1])

    def test_the_saga_page_shows_its_steps(
        self, open_shop: Shop, context: BrowserContext, orders: list[str], complaints: Complaints
    ) -> None:
        page = complaints.watch(context.new_page())
        for order in orders:
            saga = open_shop.saga(order)
            page.goto(f"{open_shop.stack.url('order')}/admin/saga/sagainstance/{saga['id']}/change/")
            text = page.inner_text("body")
            assert all(step["name"].replace("-", " the ") in text for step in saga["steps"])
            assert "Done: all 6 steps are done" in text or "Cancelled, everything undone" in text
            assert describe_status(saga["status"]) in text.lower()
        assert not complaints
        page.close()

    def test_times_have_the_words_of_the_sentences(
        self, open_shop: Shop, context: BrowserContext, complaints: Complaints
    ) -> None:
        page = complaints.watch(context.new_page())
        page.goto(f"{open_shop.stack.url('order')}/admin/password_change/")
        for away in (timedelta(hours=3, minutes=56), timedelta(days=2, hours=23), -timedelta(days=1)):
            # Half a minute later than that nothing else is said.
            at = datetime.now(UTC) + away + timedelta(seconds=30 if away > timedelta() else -30)
            told = f"in {format_span(away)}" if away > timedelta() else f"{format_span(-away)} ago"
            page.evaluate(
                "at => document.body.insertAdjacentHTML('beforeend', `<time class=ago datetime=${at}></time>`)",
                at.isoformat(),
            )
            expect(page.locator("time.ago").last).to_have_text(told)
        assert not complaints
        page.close()

    def test_on_a_phone_a_page_says_where_it_is(
        self, open_shop: Shop, context: BrowserContext, orders: list[str], complaints: Complaints
    ) -> None:
        page = complaints.watch(context.new_page())
        page.set_viewport_size(PHONE)
        home = f"{open_shop.stack.url('order')}/admin/"
        saga = open_shop.saga(orders[0])["id"]
        for path in (
            f"order/order/{orders[0]}/change/",
            f"saga/sagainstance/{saga}/change/",
            "saga/parkedsaga/",
        ):
            page.goto(home + path)
            [[width, whole]] = page.eval_on_selector_all(".crumbs > *", SHOWN_WIDTHS)
            assert width >= min(MOST_OF_A_NAME, whole), path
            assert not find_clipped(page)
        assert not complaints
        page.close()

    def test_on_a_phone_the_board_is_folded_and_what_is_unfolded_stays_so(
        self, open_shop: Shop, context: BrowserContext, complaints: Complaints
    ) -> None:
        page = complaints.watch(context.new_page())
        page.set_viewport_size(PHONE)
        page.goto(f"{open_shop.stack.url('order')}/admin/")
        assert page.locator("details.fold[open]").count() == 0
        page.click("#board-outcomes-1 > summary")
        page.evaluate("document.querySelectorAll('.board-part').forEach(part => part.dataset.first = '')")
        page.wait_for_selector("#board-outcomes:not([data-first])", timeout=30_000)  # it was replaced
        assert page.locator("details.fold[open]").evaluate_all("each => each.map(e => e.id)") == [
            "board-outcomes-1"
        ]
        page.set_viewport_size(DESKTOP)
        page.reload()
        assert page.locator("details.fold:not([open])").count() == 0
        assert not complaints
        page.close()


def list_pages(page: Page, shop: Shop, orders: list[str], lists: Mapping[str, list[str]]) -> list[str]:
    """The pages of the four admins: those that several have the same once; each list, and a row of it."""
    fine, refused = orders
    home = f"{shop.stack.url('order')}/admin/"
    acts = (f"order/order/{fine}/{act}" for act in ("cancel", "refund", "note"))
    found = [
        shop.stack.url("order") + "/", home, f"{home}find/?q=nothing", f"{home}order/order/{refused}/change/",
        *(home + act for act in acts), f"{home}password_change/", f"{home}order/customer/add/",
    ]  # fmt: skip
    for url, *_ in lists.values():
        # Read, and not drawn by the browser.
        links = re.findall(r'href="([^"?]+/change/)', page.request.get(url).text())
        rows = [urljoin(url, link) for link in links]
        found += [url, *[row for row in rows if row.startswith(url)][:1]]
    return found


def is_list(url: str, home: str) -> bool:
    """`…/admin/app/model/`"""
    path = urlsplit(url).path.strip("/").split("/")
    return url.startswith(home) and not urlsplit(url).query and len(path) == 3


class TestThePagesForEverybody:
    @pytest.mark.parametrize("service", SERVICES)
    def test_home_and_api_docs(
        self, open_shop: Shop, browser: Browser, service: str, complaints: Complaints
    ) -> None:
        with browser.new_context() as stranger:
            page = complaints.watch(stranger.new_page())
            page.goto(f"{open_shop.stack.url(service)}/")
            assert page.inner_text("h1").lower() == service
            icon = page.get_attribute("link[rel=icon]", "href")
            assert icon
            assert service in page.request.get(f"{open_shop.stack.url(service)}{icon}").url
            page.click("text=Events")
            assert page.inner_text("h1") == f"Events of {service}"
            assert page.locator("tbody tr").count() >= 4
            page.go_back()
            page.click("text=API")
            page.wait_for_selector(".opblock", timeout=60_000)
            assert page.locator(".opblock").count() >= 5
        assert not complaints

    @pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
    def test_the_login_can_be_used_by_everybody(
        self, open_shop: Shop, browser: Browser, width: int, scheme: Any, complaints: Complaints
    ) -> None:
        """It is read in the dark, and a keyboard opens the choice of light or dark."""
        with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme) as stranger:
            page = complaints.watch(stranger.new_page())
            page.goto(f"{open_shop.stack.url('payment')}/admin/")
            assert [*find_barriers(page), *find_clipped(page)] == []
            page.get_by_role("button", name="Light or dark").press("Enter")
            expect(page.get_by_text("System", exact=True)).to_be_visible()
            assert find_barriers(page) == []
        assert not complaints


class TestFlower:
    def test_asks_who_is_there(self, open_shop: Shop, browser: Browser) -> None:
        with browser.new_context() as stranger:
            answer = stranger.request.get(f"{open_shop.stack.flower_url}/workers")
            assert answer.status == 401

    def test_shows_the_four_workers_and_finds_an_orders_tasks_by_its_saga(
        self, open_shop: Shop, browser: Browser, complaints: Complaints
    ) -> None:
        order = open_shop.place()
        open_shop.all_confirmed([order])
        saga = open_shop.saga(order)
        name, password = open_shop.stack.admin_login
        with browser.new_context(http_credentials={"username": name, "password": password}) as context:
            page = complaints.watch(context.new_page())
            page.goto(f"{open_shop.stack.flower_url}/workers")
            for service in SERVICES:
                page.wait_for_selector(f"text=/^{service}@/")
            page.goto(f"{open_shop.stack.flower_url}/tasks")
            page.fill("input[type=search]", saga["id"])
            for task in ("payment.authorize_payment", "inventory.commit_stock", "order.complete"):
                page.wait_for_selector(f"td >> text={task}")
            assert page.locator("#tasks-table tbody tr").count() >= len(saga["steps"]) + 1
        assert not complaints
