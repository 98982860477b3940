"""What a browser is told about our pages and cookies: nothing foreign runs in them, frames them, or reads them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.core.signing import BadSignature, Signer
from django.test import Client, RequestFactory

from celery_config.common.services import SERVICES
from celery_config.settings.web import web_settings

pytestmark = pytest.mark.django_db
OURS = [
    "/",
    "/api/docs/",
    "/api/events/docs/",
    "/api/orders/",
    "/healthz",
    "/nothing",
    "/static/order_saga/order.svg",
]
HOURS = 8


def read_policy(answer: Any) -> dict[str, list[str]]:
    parts = (part.split() for part in answer.headers["Content-Security-Policy"].split(";"))
    return {name: sources for name, *sources in parts}


class TestTheContentSecurityPolicy:
    @pytest.mark.parametrize("page", [*OURS, "/admin/", "/admin/login/"])
    def test_lets_nothing_run_or_style_that_stands_in_a_page(self, client: Client, page: str) -> None:
        policy = read_policy(client.get(page))
        # Unfold colours JSON by attributes; they are styled, and run nothing.
        attributes = policy.pop("style-src-attr", [])
        assert attributes == (["'unsafe-inline'"] if page.startswith("/admin/") else [])
        assert "'unsafe-inline'" not in str(policy)
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == ["'none'"]
        assert policy["style-src"] == ["'self'"]
        evaluated = ["'unsafe-eval'"] if page.startswith("/admin/") else []
        assert policy["script-src"] == ["'self'", *evaluated]

    @pytest.mark.parametrize(
        "page", ["/", "/api/docs/", "/api/events/docs/", "/nothing", "/admin/", "/admin/login/"]
    )
    def test_no_page_has_what_it_forbids(self, client: Client, page: str) -> None:
        if page == "/admin/":
            client.force_login(User.objects.create_superuser("ada"))
        text = client.get(page).content.decode()
        assert not re.search(r"<style|<script(?![^>]* src=)|\sstyle=|\son[a-z]+=", text)

    def test_the_theme_is_that_of_unfold(self) -> None:
        colours = admin.site._get_colors("COLORS", RequestFactory().get("/admin/"))
        found = finders.find("order_saga/theme.css")
        assert found
        with open(found, encoding="utf-8") as file:
            ours = dict(re.findall(r"--color-([\w-]+): (.+);", file.read()))
        assert ours == {
            f"{name}-{weight}": colour
            for name, weights in colours.items()
            for weight, colour in weights.items()
        }


def test_no_feature_of_the_browser_is_allowed(client: Client) -> None:
    policy = client.get("/").headers["Permissions-Policy"]
    assert {"camera=()", "geolocation=()", "payment=()"} <= {*policy.split(", ")}


class TestCookies:
    def test_a_session_ends_after_hours(self, client: Client) -> None:
        User.objects.create_superuser("ada", password="analytical")
        client.post("/admin/login/", {"username": "ada", "password": "analytical"})
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        assert cookie["max-age"] == HOURS * 3600
        assert cookie["httponly"]
        assert {*client.cookies} <= {settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME}

    @pytest.mark.parametrize("tls", [True, False])
    def test_each_service_has_names_of_its_own(self, tls: bool) -> None:
        made = [web_settings(name, service.package, (), tls=tls) for name, service in SERVICES.items()]
        names = [each[name] for each in made for name in ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME")]
        assert len({*names}) == 2 * len(SERVICES)
        # A browser takes such a cookie over TLS alone, and no other host of the domain can set it.
        assert all(name.startswith("__Host-") is tls for name in names)
        assert all(each["SESSION_COOKIE_SECURE"] is each["CSRF_COOKIE_SECURE"] is tls for each in made)

    def test_what_a_service_signed_no_other_takes_even_with_the_same_key(self, settings: Any) -> None:
        assert settings.SECRET_KEY.endswith(":order")
        signed = Signer().sign("ada")
        settings.SECRET_KEY = settings.SECRET_KEY.removesuffix(":order") + ":payment"
        with pytest.raises(BadSignature):
            Signer().unsign(signed)


def test_pages_of_the_admin_are_compressed_and_answers_of_the_api_are_not(client: Client) -> None:
    client.force_login(User.objects.create_superuser("ada"))
    for address, coding in (("/admin/", "gzip"), ("/api/schema/?format=json", None)):
        answer = client.get(address, HTTP_ACCEPT_ENCODING="gzip")
        assert answer.status_code == 200
        assert answer.headers.get("Content-Encoding") == coding
