"""The URLs of every service: pages, admin, the APIs of all patterns, and its own API."""

from __future__ import annotations

from importlib.util import find_spec

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView

from celery_config import asyncapi, health
from celery_config.common.services import SERVICES
from celery_config.copies import api as copies
from celery_config.copies import published_api
from celery_config.erasure.api import ForgottenList
from celery_config.messaging import dealt_with_api
from celery_config.messaging.api import (
    BarrierList,
    EventFeed,
    EventsAgain,
    OutboxState,
    SetAsideList,
    TroubleList,
)
from celery_config.participant.api import Commands, SettleBarrier
from celery_config.web import site
from celery_config.web.change_log import ChangeList
from celery_config.web.elsewhere import find_icon
from celery_config.web.error_pages import HANDLERS
from celery_config.web.schema_api import SchemaApi
from celery_config.web.sign_on import begin_sign_on, end_sign_on
from celery_config.web.token_api import OwnToken, OwnTokens, TokenApi


def show_home(request: HttpRequest) -> HttpResponse:
    return render(
        request, "messaging/home.html", {"service": settings.SERVICE, "icon": find_icon(settings.SERVICE)}
    )


def list_urls() -> list[URLPattern | URLResolver]:
    """Return the URLs of the service whose settings are loaded, with those of its `api.py`, if it has one."""
    package = SERVICES[settings.SERVICE].package
    own = [path("api/", include(f"{package}.api"))] if find_spec(f"{package}.api") else []
    # The page has a template for GET alone. Its script is a request of its own: none may stand in a page.
    docs_page = SpectacularSwaggerSplitView.as_view(permission_classes=[], http_method_names=["get", "head"])
    return [
        path("", show_home, name="home"),
        # A browser requests this for pages without an icon, such as JSON.
        path("favicon.ico", RedirectView.as_view(url=site.icon_url())),
        path("sign-on/", begin_sign_on, name="sign-on"),
        path("sign-on/end/", end_sign_on, name="sign-on-end"),
        path("admin/", admin.site.urls),
        *own,
        path("api/commands/", Commands.as_view(), name="commands"),
        path("api/events/", EventFeed.as_view(), name="events"),
        path("api/events/again/", EventsAgain.as_view(), name="events-again"),
        path("api/events/schema/", asyncapi.show_schema, name="asyncapi"),
        path("api/events/docs/", asyncapi.show_page, name="events-docs"),
        path("api/barrier/", BarrierList.as_view(), name="barrier"),
        path("api/barrier/settle/", SettleBarrier.as_view(), name="barrier-settle"),
        path("api/outbox/", OutboxState.as_view(), name="outbox"),
        path("api/outbox/set-aside/", SetAsideList.as_view(), name="outbox-set-aside"),
        path("api/trouble/", TroubleList.as_view(), name="trouble"),
        path("api/forgotten/", ForgottenList.as_view(), name="forgotten"),
        path("api/", include(dealt_with_api.urlpatterns)),
        *copies.urlpatterns,
        *published_api.urlpatterns,
        path("api/token/", TokenApi.as_view(), name="token"),
        path("api/tokens/", OwnTokens.as_view(), name="tokens"),
        path("api/tokens/<uuid:pk>/", OwnToken.as_view(), name="own-token"),
        path("api/changes/", ChangeList.as_view(), name="changes"),
        path("api/schema/", SchemaApi.as_view(permission_classes=[]), name="schema"),
        path("api/docs/", docs_page, name="docs"),
        path("healthz", health.healthz),
        path("readyz", health.readyz),
        path("flowz", health.flowz),
        path("metrics", health.metrics),
    ]


urlpatterns = list_urls()
globals().update(HANDLERS)  # Django looks for them beside the URLs
