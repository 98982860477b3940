"""The service's events for whoever would listen: as an AsyncAPI document, and as a page."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.module_loading import import_string

from celery_config.asyncapi import announced_by, document, kinds_of, purpose, summary_of, table_of


def schema(request: HttpRequest) -> JsonResponse:
    """What this service announces and hears (AsyncAPI 3.0)."""
    listens = import_string(settings.SUBSCRIPTIONS)
    return JsonResponse(document({settings.SERVICE: listens}, f"Order Saga: {settings.SERVICE}"))


def page(request: HttpRequest) -> HttpResponse:
    """The same for people."""
    said = [(kind.wire_name(), summary_of(kind), table_of(kind)) for kind in announced_by(settings.SERVICE)]
    heard = [
        (", ".join(kind.wire_name() for kind in kinds_of(each)), purpose(each))
        for each in import_string(settings.SUBSCRIPTIONS)
    ]
    return render(
        request, "messaging/events.html", {"service": settings.SERVICE, "said": said, "heard": heard}
    )
