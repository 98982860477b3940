"""Throttles: each web process allows its share of a rate, so that counting costs no query."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import ScopedRateThrottle

from celery_config.web.authentication import ServiceUser
from celery_config.web.client_addresses import read_address


class SharedRateThrottle(ScopedRateThrottle):
    """Counts what a user or, before a login, an address asks of the views with one `throttle_scope`."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if not getattr(view, self.scope_attr, None):
            return True
        return isinstance(request.user, ServiceUser) or super().allow_request(request, view)

    def get_ident(self, request: Request) -> str:
        return read_address(request._request) or super().get_ident(request)

    def parse_rate(self, rate: str | None) -> tuple[int | None, int | None]:
        number, seconds = super().parse_rate(rate)
        return number and max(1, number // settings.WEB_PROCESSES), seconds
