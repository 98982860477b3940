"""Whom a request comes from: the address that limits count and logs name."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from rest_framework.throttling import BaseThrottle

from celery_config.common.client_addresses import find_client

OF_SOCKET, PORT_OF_SOCKET = "REMOTE_ADDR", "SERVER_PORT"


def is_internal(request: HttpRequest) -> bool:
    """Whether it came to the port for other services. The port is that of the socket; no header can claim it."""
    return request.META.get(PORT_OF_SOCKET) == str(settings.INTERNAL_PORT)


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
