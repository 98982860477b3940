"""The URLs of every service: pages, admin, the APIs of all patterns, and its own API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.authtoken.views import ObtainAuthToken
from rest_framework.parsers import FormParser
from rest_framework.throttling import ScopedRateThrottle

from celery_config import asyncapi, health
from celery_config.copies import api as copies
from celery_config.erasure.api import ForgottenList
from celery_config.messaging.api import BarrierList, EventFeed, OutboxState, TroubleList
from celery_config.participant.api import Commands, SettleBarrier
from celery_config.web import site
from celery_config.web.error_pages import HANDLERS
from celery_config.web.inputs import KnownFieldsOnly
from celery_config.web.parsers import NestingSafeJsonParser


class TokenInput(KnownFieldsOnly, AuthTokenSerializer):
    """A name and a password."""

    hints: ClassVar = {}


class TokenApi(ObtainAuthToken):
    """A user's token for a name and a password, as JSON or a form. It is throttled against guessing."""

    serializer_class = TokenInput
    parser_classes = (NestingSafeJsonParser, FormParser)
    throttle_classes = (ScopedRateThrottle,)
    throttle_scope = "token"


def show_home(request: HttpRequest) -> HttpResponse:
    return render(request, "messaging/home.html", {"service": settings.SERVICE})


def url_configuration(api: Sequence[URLPattern | URLResolver]) -> dict[str, Any]:
    """The URL configuration of a service with the API `api`: its URLs and its error handlers."""
    # The page has a template for GET alone.
    docs_page = SpectacularSwaggerView.as_view(permission_classes=[], http_method_names=["get", "head"])
    urls: list[URLPattern | URLResolver] = [
        path("", show_home, name="home"),
        # A browser requests this for pages without an icon, such as JSON.
        path("favicon.ico", RedirectView.as_view(url=site.icon_url())),
        path("admin/", admin.site.urls),
        path("api/", include(api)),
        path("api/commands/", Commands.as_view(), name="commands"),
        path("api/events/", EventFeed.as_view(), name="events"),
        path("api/events/schema/", asyncapi.show_schema, name="asyncapi"),
        path("api/events/docs/", asyncapi.show_page, name="events-docs"),
        path("api/barrier/", BarrierList.as_view(), name="barrier"),
        path("api/barrier/settle/", SettleBarrier.as_view(), name="barrier-settle"),
        path("api/outbox/", OutboxState.as_view(), name="outbox"),
        path("api/trouble/", TroubleList.as_view(), name="trouble"),
        path("api/forgotten/", ForgottenList.as_view(), name="forgotten"),
        *copies.urlpatterns,
        path("api/token/", TokenApi.as_view(), name="token"),
        path("api/schema/", SpectacularAPIView.as_view(permission_classes=[]), name="schema"),
        path("api/docs/", docs_page, name="docs"),
        path("healthz", health.healthz),
        path("readyz", health.readyz),
        path("flowz", health.flowz),
        path("metrics", health.metrics),
    ]
    return {"urlpatterns": urls, **HANDLERS}
