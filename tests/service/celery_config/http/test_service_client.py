"""The client of other services: one for each, for the life of the process."""

from __future__ import annotations

import gc
import json
import os
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
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


PAGES = {"/first": "http://127.0.0.1:1/second?after=7", "/second?after=7": None}


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path in ("/drops", "/endless"):
            self.end_headers()
            with suppress(ConnectionError):
                while not self.server.stopped.wait(0.05):  # type: ignore[attr-defined]
                    self.wfile.write(b" " * (1 if self.path == "/drops" else 4096 * 1024))
            return
        page = {"results": [self.path], "next": PAGES[self.path]} if self.path in PAGES else {}
        answer = json.dumps(page)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.stopped = Event()  # type: ignore[attr-defined]
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.stopped.set()  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["/drops", "/endless"])
def test_a_service_that_does_not_come_to_an_end_holds_up_nobody(settings: Any, url: str, path: str) -> None:
    """The watchdog and the copies ask other services, and one of these may be in strange hands."""
    settings.SERVICE_URLS = {"order": url}
    began = time.monotonic()
    with pytest.raises(ServiceCallError):
        ServiceClient("order", 1.0 if path == "/drops" else 30.0).get(path)
    assert time.monotonic() - began < 10


def test_the_next_page_is_at_the_same_service(settings: Any, url: str) -> None:
    """Whatever host its address names."""
    settings.SERVICE_URLS = {"order": url}
    pages: list[Any] = list(ServiceClient("order").get_pages("/first"))
    assert pages == [["/first"], ["/second?after=7"]]


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
