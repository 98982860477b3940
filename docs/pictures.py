"""`./manage.py pictures`: the pictures of README and docs, taken by a browser from a system of its own."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urljoin

from playwright.sync_api import Browser, FloatRect, Locator, Page, expect
from rich.console import Console

from celery_config.saga.operations.wording import STATUS_WORDS
from celery_config.saga.states import Status
from compose.local.environment import ROOT, var_folder, without_servers
from compose.local.errors import LocalError
from compose.local.output import print_error
from compose.local.secrets import select_environment
from compose.local.shopper import Shopper
from compose.local.stack import Stack
from docs import picture_list
from docs.film import Film, read_image, save_still
from docs.picture_list import Picture
from tests.acceptance.browsing import Complaints, find_clipped, launch_browser, log_in
from tests.browser import find_or_install_browser

PATIENCE = 60_000.0
"""Milliseconds that a page may take until it shows what is waited for."""
PARTICIPANTS = ("payment", "inventory", "shipment")
BAR = 120
"""Pixels at the foot of a window that a still leaves out: a bar lies there over the page."""
DESK = "/admin/order/desk/"
ORDERS = "#desk-orders article"
# The texts of a page that can be seen; a text that only screen readers have is in a box of one pixel.
READ_TEXTS = """height => {
    const isInside = box => box.width > 1 && box.height > 1 && box.bottom > 0 && box.top < height
        && box.right > 0 && box.left < innerWidth;
    const isSeen = (each, boxes) => each.checkVisibility({ visibilityProperty: true }) && [...boxes].some(isInside);
    const texts = [...document.querySelectorAll("input, select")].filter(each => isSeen(each, each.getClientRects()))
        .map(each => each.selectedOptions ? each.selectedOptions[0].text : each.placeholder);
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const range = document.createRange();
        range.selectNodeContents(walk.currentNode);
        const parent = walk.currentNode.parentElement;
        const isIcon = parent.classList.contains("material-symbols-outlined");
        if (!isIcon && isSeen(parent, range.getClientRects())) texts.push(walk.currentNode.data);
    }
    return texts.map(text => text.replace(/\\s+/g, " ").trim()).filter(text => text.length > 1);
}"""


class NotTaken(Exception):
    """A page is not fit for a picture; the text says why."""


def main(argv: list[str]) -> int:
    argparse.ArgumentParser(prog="./manage.py pictures", description=__doc__).parse_args(argv)
    console = Console(highlight=False)
    try:
        find_or_install_browser(console)
        with run_stack(console) as stack, launch_browser() as browser:
            studio = Studio(stack, browser)
            console.print("An order travels, and another is cancelled …")
            done = film_desk(studio)
            take_phone(studio)
            console.print("A bad day is rehearsed; it takes two minutes …")
            rehearse(stack)
            take_stills(studio, done)
    except (LocalError, NotTaken) as error:
        print_error(str(error))
        return 1
    picture_list.write_words(studio.words)
    for picture in picture_list.PICTURES:
        console.print(
            f"{picture.path.relative_to(ROOT)}  {picture.path.stat().st_size // 1000} kB", soft_wrap=True
        )
    return 0


@contextmanager
def run_stack(console: Console) -> Iterator[Stack]:
    """A new system with goods on its shelves; the servers that the environment names are none for pictures."""
    stack = Stack("servers", var=var_folder() / "pictures", environ=without_servers(os.environ))
    try:
        stack.delete_data()
        with console.status("Starting PostgreSQL, RabbitMQ and four services …"):
            stack.start(timeout=300)
        Shopper(stack).offer_goods()
        yield stack
    finally:
        stack.stop()


def rehearse(stack: Stack) -> None:
    """
    Raises:
        NotTaken: the bad day did not come to its end.
    """
    command = [sys.executable, "manage.py", "order", "rehearse", "--seed", "1"]
    environment = select_environment(stack.environment, "order", operates=True)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotTaken(f"the bad day: {done.stdout}{done.stderr}")


@dataclass
class Studio:
    """What takes the pictures, and the words that each shows."""

    stack: Stack
    browser: Browser
    words: dict[str, set[str]] = field(default_factory=dict)

    @contextmanager
    def open(self, picture: Picture, url: str, *, moves: bool = False) -> Iterator[Page]:
        """A page of the order service in the picture's size; the browser must have nothing to complain about."""
        width, height = picture.size
        below = 0 if moves else BAR
        complaints = Complaints()
        with self.browser.new_context(
            viewport={"width": width, "height": height + below}, device_scale_factor=picture.scale,
            color_scheme="light",
            reduced_motion="no-preference" if moves else "reduce", locale="en-GB", timezone_id="UTC",
        ) as context:  # fmt: skip
            page = complaints.watch(context.new_page())
            page.set_default_timeout(PATIENCE)
            expect.set_options(timeout=PATIENCE)
            log_in(page, urljoin(self.stack.url("order"), url), self.stack.admin_login)
            page.evaluate("document.fonts.ready.then(() => true)")
            yield page
        if complaints:
            raise NotTaken("\n".join(complaints))

    def take(self, picture: Picture, page: Page) -> None:
        """Write what the window shows.

        Raises:
            NotTaken: something is cut off, or missing.
        """
        page.wait_for_load_state("load")
        page.evaluate("document.fonts.ready.then(() => true)")
        page.mouse.move(0, 0)
        self.read(picture, page)
        if clipped := find_clipped(page):
            raise NotTaken("\n".join(clipped))
        width, height = picture.size
        part: FloatRect = {"x": 0, "y": 0, "width": width, "height": height}
        save_still(read_image(page.screenshot(animations="disabled", caret="hide", clip=part)), picture.path)
        self.check(picture)

    def read(self, picture: Picture, page: Page) -> None:
        """Remember the words that the page shows, of those that are ours."""
        ours = picture_list.find_texts(picture)
        self.words.setdefault(picture.file, set()).update(
            ours.intersection(page.evaluate(READ_TEXTS, picture.size[1]))
        )

    def check(self, picture: Picture) -> None:
        """
        Raises:
            NotTaken: a word that the picture is about is not seen in it.
        """
        if missing := picture.words - self.words[picture.file]:
            raise NotTaken(f"{picture.file} does not show: {', '.join(sorted(missing))}")


@dataclass
class Turns:
    """The participants' workers, of which one runs at a time: so a page has all the time to show each step."""

    stack: Stack

    @contextmanager
    def taken(self) -> Iterator[Turns]:
        self._send(signal.SIGSTOP)
        try:
            yield self
        finally:
            self._send(signal.SIGCONT)

    def let(self, service: str, wait: Callable[[], None]) -> None:
        """Let a service work until the wait is over."""
        self._send(signal.SIGCONT, service)
        wait()
        self._send(signal.SIGSTOP, service)

    def _send(self, number: signal.Signals, *services: str) -> None:
        for service in services or PARTICIPANTS:
            self.stack.supervisor[f"{service}-worker"].send(number)


def film_desk(studio: Studio) -> str:
    """Let an order travel through the services; the next is cancelled in mid-flight and undone, backwards.

    Returns:
        the address of the page of the first.
    """
    picture, still = picture_list.FILM, picture_list.DESK_STILL
    with studio.open(picture, DESK, moves=True) as page, Turns(studio.stack).taken() as turns:
        film = Film(page)

        def shoot(milliseconds: int) -> None:
            film.shoot(milliseconds)
            studio.read(picture, page)

        place, first = page.get_by_role("button", name="Place", exact=True), page.locator(ORDERS).first
        width, height = picture.size
        film.begin((width * 0.6, height * 0.7))
        shoot(800)
        film.click(place)
        expect(first).to_contain_text("calling now")
        film.scroll_to(place, (width * 0.6, height * 0.12))
        shoot(600)
        while first.locator("li.calling").count():
            follow(film, turns, first, "calling")
            shoot(600)
        shoot(400)
        film.click(place)
        expect(first).to_contain_text("calling now")
        shoot(400)
        for _ in range(2):
            follow(film, turns, first, "calling")
            shoot(400)
        film.click(first.get_by_role("button", name="Cancel"))
        expect(first.locator("li.undoing")).to_have_count(1)
        shoot(1000)
        # The carrier had been asked already: it books, and that is undone, too.
        booking = first.locator("li", has_text="book the").first
        film.go_on()
        turns.let("shipment", lambda: expect(booking).to_contain_text("held"))
        shoot(400)
        while first.locator("li.undoing").count():
            follow(film, turns, first, "undoing")
            shoot(600)
            if first.locator("li.undone").count() == 2:
                studio.read(still, page)
                save_still(film.frames[-1], still.path)
        shoot(1800)
        film.save(picture.path)
        studio.check(picture)
        studio.check(still)
        return get_address(page, page.locator(ORDERS).last.get_by_role("link"))


def take_phone(studio: Studio) -> None:
    with studio.open(picture_list.PHONE, DESK) as page:
        page.get_by_role("heading", name="The last orders").evaluate("each => each.scrollIntoView()")
        studio.take(picture_list.PHONE, page)


def get_address(page: Page, link: Locator) -> str:
    return urljoin(page.url, link.get_attribute("href"))


def follow(film: Film, turns: Turns, order: Locator, state: str) -> None:
    """Let the service of the step that is in a state work until the page shows that the step is behind it."""
    cell = order.locator(f"li.{state}").first
    number = cell.evaluate("each => [...each.parentNode.children].indexOf(each)")
    service, before = cell.locator("small").inner_text(), cell.inner_text()
    same = order.locator("li").nth(number)

    def wait() -> None:
        expect(same).not_to_have_text(before, use_inner_text=True)
        if order.locator("li.pivot.done").count():
            expect(order).not_to_contain_text(STATUS_WORDS[Status.RUNNING])

    film.go_on()
    turns.let(service, wait)


def take_stills(studio: Studio, order: str) -> None:
    """Take what operators see after the bad day, on their way from the board to the saga that waits for a cause.

    Args:
        order: the address of an order that went well.
    """
    with studio.open(picture_list.BOARD_STILL, "/admin/") as page:
        studio.take(picture_list.BOARD_STILL, page)
        sagas = page.locator("a[href*='/saga/sagainstance/']")
        cause = page.get_by_role("row").filter(has_text="to void the payment", has=sagas).first
        # It is the only one with its cause.
        parked = get_address(page, cause.get_by_role("link", name="Look and mend"))
    for picture, url in ((picture_list.PARKED, parked), (picture_list.SUPPORT_STILL, order)):
        with studio.open(picture, url) as page:
            studio.take(picture, page)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
