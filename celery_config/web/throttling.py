"""Throttles: each web process allows its share of a rate, so that counting costs no query."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle, ScopedRateThrottle

from celery_config.common.client_addresses import find_client
from celery_config.web.authentication import ServiceUser

OF_SOCKET = "REMOTE_ADDR"


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


def is_internal(request: HttpRequest) -> bool:
    """Whether it came to the port for other services. The port is that of the socket; no header can claim it."""
    return request.META.get("SERVER_PORT") == str(settings.INTERNAL_PORT)


def read_address(request: HttpRequest) -> str | None:
    """The client's address: with TLS what the proxy says; never what only the client says.

    No proxy is in front of `INTERNAL_PORT`, so there it is that of the socket.
    """
    proxied = [] if is_internal(request) else [BaseThrottle().get_ident(request)]  # type: ignore[arg-type]
    for address in (*proxied, request.META.get(OF_SOCKET)):
        try:
            return find_client(address or "")
        except ValueError:
            continue
    return None
