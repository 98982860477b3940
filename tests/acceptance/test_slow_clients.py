"""Clients that are slow, or many, keep no other from being answered: by the web as `up` runs it."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest

from celery_config.common.services import SERVICES
from tests.acceptance.shop import Shop

SLOW_CLIENTS = 64
SECONDS = 2.0
"""How long anyone else may wait meanwhile."""
HEAD = "POST /api/orders/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "slow",
    [
        pytest.param(HEAD, id="headers"),
        pytest.param(HEAD + "Content-Length: 500\r\n\r\n{", id="body"),
        pytest.param(HEAD + "Transfer-Encoding: chunked\r\n\r\n64\r\n{", id="chunks"),
        # More than a connection takes: it is never read.
        pytest.param(
            "GET /static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js HTTP/1.1\r\n"
            "Host: 127.0.0.1\r\n\r\n",
            id="answer",
        ),
    ],
)
def test_slow_clients_delay_no_order(shop: Shop, slow: str) -> None:
    address = urlsplit(shop.stack.url("order"))
    with ExitStack() as stack:
        for _ in range(SLOW_CLIENTS):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((address.hostname, address.port))
            stack.callback(client.close)
            client.sendall(slow.encode())
        began = time.monotonic()
        assert httpx.get(f"{address.geturl()}/healthz", trust_env=False, timeout=SECONDS).status_code == 200
        order = shop.place()
        assert time.monotonic() - began < SECONDS
    shop.all_confirmed([order])


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_stands_them(open_shop: Shop, service: str) -> None:
    address = urlsplit(open_shop.stack.url(service))
    with ExitStack() as stack:
        for _ in range(SLOW_CLIENTS):
            client = stack.enter_context(socket.create_connection((address.hostname, address.port)))
            client.sendall(HEAD.encode())
        for page in ("healthz", "readyz"):
            answer = httpx.get(f"{address.geturl()}/{page}", trust_env=False, timeout=SECONDS)
            assert answer.status_code == 200
