"""The door for events from outside: no session and no token, a signature alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import structlog
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.common import metrics
from celery_config.errors import WebhookRefused
from celery_config.http.webhooks import Hint
from celery_config.messaging import hints
from celery_config.participant import registered
from celery_config.web.error_pages import BodyTooLarge

log = structlog.get_logger(__name__)
# Theirs are of a few kilobytes; before the signature is checked, everything is a stranger's.
MAX_BYTES = 256 * 1024
IGNORED = "ignored"
REFUSED = "refused"


class WebhookOutput(serializers.Serializer[Any]):
    outcome = serializers.ChoiceField([*(o.value for o in hints.Outcome), IGNORED])


class WebhookApi(APIView):
    """`read` verifies a body and returns its hint, or None for an event that settles nothing.

    Whatever is signed is answered 200, so that the sender stops repeating it; only what we could not write is not.
    """

    authentication_classes: ClassVar[list[Any]] = []  # type: ignore[misc]
    permission_classes: ClassVar[list[Any]] = []  # type: ignore[misc]

    read: Callable[[bytes, Mapping[str, str]], Hint | None]

    @extend_schema(request=OpenApiTypes.OBJECT, responses=WebhookOutput, auth=[])
    def post(self, request: Request) -> Response:
        """Take in a signed event; it settles the doubt about one of our calls, or nothing."""
        body = request.body
        if len(body) > MAX_BYTES:
            raise BodyTooLarge
        try:
            hint = self.read(body, request.headers)
        except WebhookRefused as refused:
            metrics.WEBHOOKS.labels(REFUSED).inc()
            log.warning("event refused", reason=str(refused))
            raise
        outcome = hints.receive(registered(), hint).value if hint else IGNORED
        metrics.WEBHOOKS.labels(outcome).inc()
        return Response({"outcome": outcome})
