"""The admin site: it lists the service's own pages first and the accounts last."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.templatetags.static import static
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from unfold.sites import UnfoldAdminSite

from celery_config.web import board
from celery_config.web.elsewhere import find_icon
from celery_config.web.live import answer_fragment

APPS_AFTER_THE_SERVICE = (
    "saga", "batches", "approvals", "holds", "proof", "notifications", "copies", "messaging", "auth", "api",
)  # fmt: skip
LISTED_WITH = {"batches": "saga", "approvals": "saga", "holds": "saga", "proof": "saga"}
"""Apps whose pages stand in the group of another app."""


def find_sign_on_url(after: str) -> str:
    """Return the address that begins a sign-on; empty: there is none.

    It stands here because every process has the site, and the packages of the sign-on are for the web alone.

    Args:
        after: where it leads in the end; empty: home.
    """
    if not settings.OIDC_ISSUER:
        return ""
    return f"{reverse('sign-on')}?{urlencode({'next': after})}" if after else reverse("sign-on")


class ServiceSite(UnfoldAdminSite):
    """Lists each app's models in the order in which its admin module registers them; its home is the board."""

    index_template = "order_saga/board/home.html"
    index_title = "Board"

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        if app_label:
            whole = LISTED_WITH.get(app_label, app_label)
            return [each for each in self.get_app_list(request) if each["app_label"] == whole]
        apps: dict[str, dict[str, Any]] = self._build_app_dict(request)
        for part, whole in LISTED_WITH.items():
            if part in apps and whole in apps:
                apps[whole]["models"] += apps.pop(part)["models"]
        return [apps[label] for label in (settings.SERVICE, *APPS_AFTER_THE_SERVICE) if label in apps]

    def extra_urls(self) -> list[URLPattern]:
        """unfold asks for these. The parts of the board renew themselves."""
        return [
            path("find/", self.admin_view(self.find), name="find"),
            path("board/<slug:name>/", self.admin_view(self.show_part), name="board"),
        ]

    def find(self, request: HttpRequest) -> HttpResponse:
        from celery_config.web.jump import show_find_page  # needs the registered admins, which need this site

        return show_find_page(self, request)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """The theme's colours are in a file, order_saga/theme.css: a page has no style of its own."""
        return {**super().each_context(request), "colors": None}

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The form for a password with the way to the sign-on; without passwords the sign-on itself."""
        url = find_sign_on_url(request.GET.get(REDIRECT_FIELD_NAME, ""))
        if not settings.PASSWORD_SIGN_IN:
            return redirect(url)
        answer: HttpResponse = super().login(request, {**(extra_context or {}), "sign_on": url})
        return answer

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The board with all its parts, which then renew themselves."""
        context = {**(extra_context or {}), "parts": board.make_parts(request)}
        answer: TemplateResponse = super().index(request, context)
        return answer

    def show_part(self, request: HttpRequest, name: str) -> HttpResponse:
        return answer_fragment(
            request, "order_saga/board/part.html", {"part": board.make_part(request, name)}
        )


def icon_url(_: HttpRequest | None = None) -> str:
    """The address of this service's icon, which tells its browser tab from the others."""
    return static(find_icon(settings.SERVICE))


def environment_badge(_: HttpRequest) -> tuple[str, str]:
    """The text and the colour of the badge at the top of each page."""
    colour = "danger" if settings.ENVIRONMENT == "production" else "info"
    return settings.ENVIRONMENT, colour
