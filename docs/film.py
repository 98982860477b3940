"""A moving picture of a page: frames of a fixed length, whatever time the page itself took."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Locator, Page

TICK = 200
"""Milliseconds of a frame in which nothing moves but what the page moves itself."""
MOVE_TICK = 60
EASED = [(n / 8) ** 2 * (3 - n / 4) for n in range(1, 9)]
"""The parts of a way that are behind at each frame of a movement: slow, fast, slow."""

# The pointer is drawn, since a picture of a page has none. Its CSS is set by script: the page forbids it in attributes.
DRAW_POINTER = """() => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.id = "film-pointer";
    svg.setAttribute("viewBox", "0 0 48 48");
    svg.innerHTML = '<circle cx="24" cy="24" r="18" fill="#2563eb" fill-opacity=".3"/>'
        + '<path d="M24 24v17l4-4 3 7 4-2-3-6h6z" fill="#111" stroke="#fff" stroke-width="1.5"/>';
    const place = { left: "0", position: "fixed", top: "0", zIndex: 9999 };
    Object.assign(svg.style, { ...place, height: "48px", pointerEvents: "none", width: "48px" });
    document.body.append(svg);
}"""
PLACE_POINTER = """([x, y, down]) => {
    const svg = document.getElementById("film-pointer");
    svg.style.transform = `translate(${x - 24}px, ${y - 24}px)`;
    svg.firstChild.style.display = down ? "" : "none";
}"""
# Fragments stand still for a frame, and the page's clock is the film's: an order is as old as the film says.
SET_TIME = """at => {
    const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
    window.filmBegun ??= {};
    for (const row of document.querySelectorAll("article")) {
        const key = row.querySelector("[title]").title;
        filmBegun[key] ??= at;
        for (const time of row.querySelectorAll("header time")) {
            time.className = "amount";  // the page itself leaves it alone then
            time.textContent = words.format(-Math.trunc((at - filmBegun[key]) / 1000), "second");
        }
    }
    for (const each of document.getAnimations()) {
        each.pause();
        each.currentTime = at;
    }
}"""
# Between two frames the page asks more often than it does by itself, so that the orders are no older than they look.
HOLD = """() => {
    // Room to scroll, while the page does not fill the window.
    document.getElementById("content").style.paddingBottom = "100vh";
    const rolls = window.isLive;
    window.filmHolds = true;
    window.isLive = () => !window.filmHolds && rolls();
    setInterval(() => window.filmHolds || htmx.trigger(document.body, "placed"), 250);
}"""
IS_QUIET = "() => !document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling')"


@dataclass
class Film:
    """Frames of a page, in the size of its window.

    Args:
        page: is open; it renews itself only between two shots.
        at: the film's time in milliseconds.
    """

    page: Page
    at: int = 0
    frames: list[Image.Image] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    pointer: tuple[float, float] = (0, 0)

    def begin(self, pointer: tuple[float, float]) -> None:
        """Take the page over, with the pointer at a place."""
        self.page.evaluate(DRAW_POINTER)
        self.page.evaluate(HOLD)
        self._set_pointer(*pointer)

    def shoot(self, milliseconds: int) -> None:
        """Show the page as it is for a while."""
        self._hold(True)
        for _ in range(round(milliseconds / TICK)):
            self._add_frame(TICK)

    def move_to(self, target: Locator) -> None:
        """Move the pointer to the middle of something."""
        self._hold(True)
        box = target.bounding_box()
        assert box is not None, "there is nothing to point at"
        for place in self._list_places((box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)):
            self._set_pointer(*place)
            self._add_frame(MOVE_TICK)

    def click(self, target: Locator) -> None:
        """Move the pointer to something, press it, and let the page go on."""
        self.move_to(target)
        self._set_pointer(*self.pointer, down=True)
        self._add_frame(TICK)
        self._set_pointer(*self.pointer)
        target.click()
        self._hold(False)

    def scroll_to(self, target: Locator, pointer: tuple[float, float]) -> None:
        """Scroll until something is at the top of the window, and move the pointer meanwhile."""
        self._hold(True)
        top, way = (
            self.page.evaluate("scrollY"),
            target.evaluate("each => each.getBoundingClientRect().top - 16"),
        )
        for part, place in zip(EASED, self._list_places(pointer), strict=True):
            self.page.evaluate("top => scrollTo({ behavior: 'instant', top })", top + way * part)
            self._set_pointer(*place)
            self._add_frame(MOVE_TICK)

    def go_on(self) -> None:
        """Let the page renew itself until the next shot."""
        self._hold(False)

    def save(self, path: Path) -> None:
        """Write all frames without loss; only what changes from frame to frame takes room."""
        first, *others = self.frames
        first.save(
            path, save_all=True, append_images=others, duration=self.durations, loop=0, lossless=True, method=4,
            quality=90, minimize_size=True,
        )  # fmt: skip

    def _hold(self, holds: bool) -> None:
        self.page.evaluate("holds => { window.filmHolds = holds }", holds)
        if holds:
            self.page.wait_for_function(IS_QUIET)

    def _list_places(self, end: tuple[float, float]) -> list[tuple[float, float]]:
        (x, y), (to_x, to_y) = self.pointer, end
        return [(x + (to_x - x) * part, y + (to_y - y) * part) for part in EASED]

    def _set_pointer(self, x: float, y: float, *, down: bool = False) -> None:
        self.pointer = x, y
        self.page.evaluate(PLACE_POINTER, [x, y, down])

    def _add_frame(self, milliseconds: int) -> None:
        self.page.evaluate(SET_TIME, self.at)
        self.frames.append(read_image(self.page.screenshot()))
        self.durations.append(milliseconds)
        self.at += milliseconds


def read_image(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def save_still(image: Any, path: Path) -> None:
    """Write a picture without loss."""
    image.save(path, lossless=True, method=6, quality=100)
