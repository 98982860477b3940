"""A browser on the pages: what it complains about, and what a page must be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser import find_or_install_browser

QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
GRAVE = ("serious", "critical")
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
    "resultTypes": ["violations"],
}
JUDGED = {"include": [["html"]], "exclude": [[".help-tooltip"]]}
"""All but the hints that Django's own script puts into its two boxes of permissions."""
# Nothing is beyond the edge, and no box hides a part of its text without saying so by an ellipsis.
FIND_CLIPPED = """() => {
    const clipped = document.documentElement.scrollWidth > innerWidth ? ["the page is wider than the screen"] : [];
    for (const box of document.querySelectorAll("body *")) {
        const style = getComputedStyle(box);
        const hides = ["hidden", "clip"].includes(style.overflowX) && style.textOverflow !== "ellipsis";
        const text = [...box.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
        if (hides && text && box.clientWidth > 1 && box.scrollWidth > box.clientWidth + 1)
            clipped.push(box.textContent.trim().slice(0, 60));
        // Of a line that is cut at its foot 4 px are missing at least.
        const cuts = ["hidden", "clip"].includes(style.overflowY) && box.clientHeight > 1 && box.clientWidth > 1;
        if (cuts && box.scrollHeight > box.clientHeight + 4 && box.innerText?.trim())
            clipped.push(`${box.innerText.trim().slice(0, 60)}: cut at its foot`);
    }
    return clipped;
}"""


class Complaints(list[str]):
    """What the browser did not like, and requests to other hosts; with the page it happened on."""

    def watch(self, page: Page) -> Page:
        page.on("console", lambda m: self.note(page, m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.note(page, str(error)))
        page.on(
            "requestfailed", lambda r: self.note(page, f"{r.url}: {r.failure}") if is_bad(r.failure) else None
        )
        page.on("response", lambda r: self.note(page, f"{r.status} {r.url}") if r.status >= 400 else None)
        page.on("request", lambda r: None if is_here(r.url) else self.note(page, f"asks {r.url}"))
        return page

    def note(self, page: Page, what: str) -> None:
        self.append(f"{page.url}: {what}")


def is_here(url: str) -> bool:
    return urlsplit(url).scheme in ("data", "blob") or urlsplit(url).hostname in ("127.0.0.1", "localhost")


def is_bad(failure: str | None) -> bool:
    # A page that is left does not wait for what it asked for.
    return failure is not None and "ERR_ABORTED" not in failure


@contextmanager
def launch_browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_or_install_browser(), args=list(QUIET))
        yield browser
        browser.close()


def log_in(page: Page, url: str, login: tuple[str, str]) -> None:
    """Open a page of an admin, which asks for the login first."""
    page.goto(url)
    for field, value in zip(("username", "password"), login, strict=True):
        page.fill(f"input[name={field}]", value)
    page.click("[type=submit]")
    page.wait_for_url(url)


def open_wide_and_narrow(url: str, login: tuple[str, str]) -> Iterator[tuple[Page, Complaints]]:
    """Log in at an admin with a wide, light page, then with a narrow, dark one; yield each with its complaints."""
    with launch_browser() as browser:
        for width, scheme in ((1440, "light"), (390, "dark")):
            complaints = Complaints()
            page = complaints.watch(
                browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            )
            log_in(page, url, login)
            yield page, complaints
            page.close()


def list_links(page: Page, selector: str = "a[href]") -> list[str]:
    """The addresses that the page links to. In a picture `a.href` is no text."""
    read = 'links => links.map(a => new URL(a.getAttribute("href"), location).href)'
    links: list[str] = page.eval_on_selector_all(selector, read)
    return links


def find_barriers(page: Page) -> list[str]:
    """What keeps people from using the page, by axe: each with its rule and the first places."""
    found: Any = Axe().run(page, context=JUDGED, options=RULES)
    return [
        f"{page.url}: {each['id']}: {each['help']}: {[node['target'] for node in each['nodes'][:3]]}"
        for each in found.response["violations"]
        if each["impact"] in GRAVE
    ]


def find_clipped(page: Page) -> list[str]:
    """The texts of which a part cannot be seen."""
    return [f"{page.url}: {text}" for text in page.evaluate(FIND_CLIPPED)]
