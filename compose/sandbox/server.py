"""The HTTP server of the sandbox: each connection has a thread and stays open between calls."""

from __future__ import annotations

import http.server
import json
import socketserver
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import structlog

from compose.sandbox.application import Sandbox
from compose.sandbox.faults import NoAnswer
from compose.sandbox.http import Answer, InvalidRequest, Request

MAX_BODY = 1_000_000
log = structlog.get_logger()


class Server(http.server.ThreadingHTTPServer):
    """Listens on one address and answers with one sandbox."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        # HTTPServer asks the DNS for its own name here, which may take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def handle_error(self, request: object, client_address: object) -> None:
        """Count a broken connection; the client repeats its request with the same key."""
        self.sandbox.control.count("connections broken")
        log.debug("connection broken", client=client_address, exc_info=True)

    @property
    def url(self) -> str:
        """The address on which it listens."""
        return f"http://{self.server_name}:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    """Speaks HTTP/1.1 and JSON."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Buffered, so that head and body leave in one packet.
    wbufsize = -1
    # Longer than clients keep an idle connection, so that the client closes it first.
    timeout = 120
    server: Server

    def _handle(self) -> None:
        try:
            answer = self._answer()
        except NoAnswer:
            self.close_connection = True
            return
        for _ in range(answer.copies):
            self._send(answer)

    do_GET = do_POST = do_DELETE = _handle

    def _send(self, answer: Answer) -> None:
        content = json.dumps(answer.body, separators=(",", ":")).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if key := self.headers.get("Idempotency-Key"):
            self.send_header("Idempotency-Key", key)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def _answer(self) -> Answer:
        try:
            request = self._request()
        except InvalidRequest as error:
            return error.answer()
        try:
            return self.server.sandbox.answer(request)
        except NoAnswer:
            raise
        except Exception:
            log.exception("endpoint failed", method=request.method, path=request.path)
            reason = "the sandbox itself failed; see its log"
            return Answer(
                HTTPStatus.INTERNAL_SERVER_ERROR, {"error": {"code": "internal_error", "reason": reason}}
            )

    def _request(self) -> Request:
        body = self._body()
        url = urlsplit(self.path)
        return Request(
            method=self.command,
            path=url.path,
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            body=body,
            key=self.headers.get("Idempotency-Key", ""),
        )

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isascii() or not length.isdigit():
            self.close_connection = True
            raise InvalidRequest("invalid_body", "send the body with a Content-Length")
        if int(length) > MAX_BODY:
            self.close_connection = True
            raise InvalidRequest("invalid_body", f"the body is over {MAX_BODY} bytes")
        content = self.rfile.read(int(length))
        if len(content) < int(length):
            raise ConnectionError("the client closed the connection before its body was complete")
        if not content:
            return {}
        try:
            body = json.loads(content)
        except ValueError as error:
            raise InvalidRequest("invalid_body", f"the body is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise InvalidRequest("invalid_body", "the body must be a JSON object")
        return body

    def log_message(self, format: str, *args: object) -> None:
        """Log one line for each call, when debugging."""
        log.debug("http", client=self.client_address[0], line=format % args)
