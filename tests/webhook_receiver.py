"""A receiver of webhooks on this machine that answers as a test says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass
class Receiver:
    """Args:
    answers: the statuses of the next answers; after them 204.
    """

    answers: list[int] = field(default_factory=list)
    location: str = ""
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    """Of each request that was answered with a 2xx: headers and body."""
    refused: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def verify(self, secret: str) -> list[Any]:
        """Return the bodies of what was taken; each signature is right."""
        return [Webhook(secret).verify(body, headers) for headers, body in self.taken]


@contextmanager
def receive() -> Iterator[Receiver]:
    """Serve a receiver while the block runs."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.answers.pop(0) if receiver.answers else 204
            if status < 300:
                receiver.taken.append((dict(self.headers.items()), body))
            else:
                receiver.refused += 1
            self.send_response(status)
            if receiver.location:
                self.send_header("Location", receiver.location)
            self.send_header("Content-Length", "0" if status == 204 else "4")
            self.end_headers()
            if status != 204:
                self.wfile.write(b"busy")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
