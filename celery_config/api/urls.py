"""The pages every service has."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.authtoken.views import obtain_auth_token

from celery_config.api import events, health


def home(request: HttpRequest) -> HttpResponse:
    return render(request, "messaging/home.html", {"service": settings.SERVICE})


def service_urls(api: Sequence[URLPattern | URLResolver]) -> list[URLPattern | URLResolver]:
    """The URLs of a service whose own API is `api`."""
    return [
        path("", home, name="home"),
        path("admin/", admin.site.urls),
        path("api/", include(api)),
        path("api/events/", events.EventFeed.as_view(), name="events"),
        path("api/barrier/", events.BarrierList.as_view(), name="barrier"),
        path("api/outbox/", events.OutboxState.as_view(), name="outbox"),
        path("api/token/", obtain_auth_token, name="token"),
        path("api/schema/", SpectacularAPIView.as_view(permission_classes=[]), name="schema"),
        path("api/docs/", SpectacularSwaggerView.as_view(permission_classes=[]), name="docs"),
        path("healthz", health.healthz),
        path("readyz", health.readyz),
        path("metrics", health.metrics),
    ]
