"""The client of other services: one for each, for the life of the process."""

from __future__ import annotations

import gc
import os
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from celery_config.common.service_calls import OPERATOR
from celery_config.common.services import SERVICES
from celery_config.http.json_client import JsonClient
from celery_config.http.service_client import ServiceCallError, ServiceClient


@pytest.fixture
def contexts(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One entry for each TLS context that is made."""
    made: list[None] = []
    real = ssl.create_default_context

    def make(*args: Any, **options: Any) -> ssl.SSLContext:
        made.append(None)
        return real(*args, **options)

    monkeypatch.setattr(ssl, "create_default_context", make)
    return made


def ask(service: str) -> None:
    with pytest.raises(ServiceCallError, match=f"{service} does not answer"):
        ServiceClient(service, 1.0, caller=OPERATOR).get("/")


def test_however_often_a_service_is_asked_it_costs_one_tls_context(
    contexts: list[None], settings: Any
) -> None:
    # Nobody listens at ports 1 to 4.
    settings.SERVICE_URLS = {name: f"http://127.0.0.1:{n}" for n, name in enumerate(SERVICES, 1)}
    for _ in range(20):
        ask("order")
    assert len(contexts) <= 1
    for service in SERVICES:
        ask(service)
    assert len(contexts) <= len(SERVICES)


def test_no_two_processes_share_a_connection(settings: Any) -> None:
    from celery_config.http.service_client import http_client

    here = http_client(os.getpid(), "http://127.0.0.1:1")
    assert http_client(os.getpid(), "http://127.0.0.1:1") is here
    assert http_client(os.getpid() + 1, "http://127.0.0.1:1") is not here


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("client", ["service", "json"])
def test_no_answer_waits_for_the_collector(settings: Any, url: str, client: str) -> None:
    """Some fifty objects of each call waited, and the heap grew around them."""
    settings.SERVICE_URLS = {"order": url}
    get: Any = ServiceClient("order").get if client == "service" else JsonClient(url).get
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            assert get("/") == {}
        # isinstance would follow the weak proxies that others left, and fail at one whose object is gone.
        assert not [each for each in gc.get_objects() if type(each) is httpx.Response]
    finally:
        gc.enable()
