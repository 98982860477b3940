"""The client of other systems: an answer, whatever it is, does not take a thread, a connection or the memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import httpx
import pytest

from celery_config.errors import OutcomeUnknown
from celery_config.http.client import DeadlineClient
from celery_config.http.json_client import JsonClient

UNPACKED = 64 * 1024 * 1024


class Packer(BaseHTTPRequestHandler):
    """Answers with a few bytes that become many, though it was asked not to pack them."""

    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.headers["Accept-Encoding"])
        packed = zlib.compress(b" " * UNPACKED)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Encoding", "deflate")
        self.send_header("Content-Length", str(len(packed)))
        self.end_headers()
        self.wfile.write(packed)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def packer() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Packer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_answer_that_is_packed_is_not_unpacked(packer: str) -> None:
    with pytest.raises(httpx.ReadError, match="packed"):
        DeadlineClient(seconds=5).send("GET", packer, headers={})
    with pytest.raises(OutcomeUnknown, match="packed"):
        JsonClient(packer).get("/")
    assert {*Packer.asked} == {"identity"}
