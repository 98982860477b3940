"""The four services are one product: each page leads to the others, and no error is a dead end."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import resolve

pytestmark = pytest.mark.django_db
PUBLIC = {name: f"https://{name}.example.com" for name in ("order", "payment", "inventory", "shipment")}


@pytest.fixture(autouse=True)
def _public(settings: Any) -> None:
    settings.PUBLIC_URLS, settings.FLOWER_PUBLIC_URL = PUBLIC, "https://flower.example.com"


def read_bar(answer: HttpResponse) -> list[tuple[str, str]]:
    """The links of the bar: where each leads, and its name."""
    (bar,) = re.findall(r'<nav class="services".*?</nav>', answer.content.decode(), re.DOTALL)
    return [
        (url, re.sub(r"<[^>]+>|\s", "", text))
        for url, text in re.findall(r'<a href="([^"]*)".*?>(.*?)</a>', bar, re.DOTALL)
    ]


BAR = [
    ("/admin/", "Order"),
    *((f"https://{name}.example.com/admin/", name.capitalize()) for name in ("payment", "inventory", "shipment")),
    ("/admin/", "Admin"), ("/api/docs/", "API"), ("/api/events/docs/", "Events"), ("/", "Service"),
    ("https://flower.example.com", "Flower"),
]  # fmt: skip


PAGES = [
    "/", "/api/docs/", "/api/events/docs/", "/nothing", "/admin/", "/admin/order/order/", "/admin/password_change/",
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_every_page_leads_to_the_other_services_and_back(admin_client: Client, page: str) -> None:
    assert read_bar(admin_client.get(page)) == BAR


def test_without_flower_nothing_leads_there(client: Client, settings: Any) -> None:
    settings.FLOWER_PUBLIC_URL = ""
    assert "Flower" not in dict(map(reversed, read_bar(client.get("/"))))  # type: ignore[arg-type]


@pytest.mark.parametrize("page", ["/admin/nothing/", "/admin/order/nothing/"])
def test_an_address_in_the_admin_without_a_page_leads_home(admin_client: Client, page: str) -> None:
    answer = admin_client.get(page)
    assert (answer.status_code, read_bar(answer)) == (404, BAR)
    assert 'class="button" href="/admin/"' in answer.content.decode()


def test_a_form_without_its_token_is_refused_in_words() -> None:
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/admin/login/", {"username": "ada", "password": "x"})
    assert (answer.status_code, read_bar(answer)) == (403, BAR)
    assert "Nothing was changed" in answer.content.decode()


@override_settings(DEBUG_PROPAGATE_EXCEPTIONS=False)
def test_an_error_without_a_database_has_the_bar(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.raise_request_exception = False
    monkeypatch.setattr("celery_config.web.middleware.check_encoding", lambda _: 1 / 0)
    answer = client.get("/admin/")
    assert (answer.status_code, read_bar(answer)) == (500, BAR)


def test_a_keyboard_skips_to_the_content(admin_client: Client) -> None:
    for page in ("/", "/admin/", "/nothing"):
        html = admin_client.get(page).content.decode()
        assert html.index('class="skip" href="#content"') < html.index('class="services"')
        assert 'id="content"' in html


def test_the_bar_says_where_one_is(admin_client: Client) -> None:
    html = admin_client.get("/admin/").content.decode()
    assert len(re.findall(r'<a href="/admin/" aria-current="true">', html)) == 2
    assert resolve("/api/docs/")
    assert '<a href="/api/docs/" aria-current="true">' in admin_client.get("/api/docs/").content.decode()


def test_people_who_are_no_staff_are_offered_no_search(client: Client) -> None:
    client.force_login(User.objects.create_user("bob", is_staff=True))
    assert "Ctrl K" in client.get("/admin/").content.decode()
    client.logout()
    assert "Ctrl K" not in client.get("/").content.decode()


def test_the_page_of_the_events_has_names_as_code(client: Client) -> None:
    page = client.get("/api/events/docs/").content.decode()
    assert "`" not in page
    assert "<code>version</code> counts its changes" in page
