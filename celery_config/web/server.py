"""The HTTP server of a web: one loop waits for all clients, so a slow one holds no thread of the application.

Tornado reads each request to its end before a thread carries it out, and sends the answer while no thread waits. A
health page has a thread of its own, so it is answered while all others are busy. When too many clients wait, or what
they make us keep becomes too much, the one that has waited longest is dropped.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from io import BytesIO
from typing import Any, cast
from urllib.parse import unquote_to_bytes, urlsplit

import structlog
from tornado import httputil
from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.netutil import bind_sockets

from celery_config.web.text import make_printable

log = structlog.get_logger(__name__)

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
HEADER_BYTES = 32 * 1024
FAILED = httputil.ResponseStartLine("HTTP/1.1", HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error")
READ_BYTES = 32 * 1024 * 1024
"""What is read of a body that is too long, so that the client reads the answer; behind that it is cut off."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a client may do. Times are in seconds.

    Args:
        threads: requests that are carried out at a time.
        body_bytes: what is kept of a body. Of a longer one the application sees one byte more, and refuses it.
        idle_seconds: from an answer, or from the connection's start, until the next request's headers are complete.
        body_seconds: from the headers until the body is complete.
        answer_seconds: from the answer's first byte until the client has taken the last.
        connections: clients at a time.
        kept_bytes: bodies and answers that wait for their clients, of all together.
        linger_seconds: how long a server that stops answers on the connections that it has.
        grace_seconds: how long a server that stops waits for what it carries out.
    """

    threads: int = 8
    body_bytes: int = 2_621_440
    idle_seconds: float = 30.0
    body_seconds: float = 60.0
    answer_seconds: float = 60.0
    connections: int = 1000
    kept_bytes: int = 128 * 1024 * 1024
    linger_seconds: float = 1.0
    grace_seconds: float = 30.0


class Clients:
    """The open connections: those of which we wait for something, longest wait first; those whose request is carried
    out; and those to which an answer is on its way. Each with the bytes that it makes us keep.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.open: set[IOStream] = set()
        self.waiting: dict[IOStream, int] = {}
        self.served: dict[IOStream, int] = {}
        self.sending: set[IOStream] = set()
        self.kept = 0
        self.all_gone = asyncio.Event()
        self.all_answered = asyncio.Event()
        self._note()

    def add(self, stream: IOStream) -> None:
        if len(self.open) >= self.limits.connections and self.waiting:
            self._drop(next(iter(self.waiting)))
        self.open.add(stream)
        self.waiting[stream] = 0
        self._note()

    def remove(self, stream: IOStream) -> None:
        self.open.discard(stream)
        self.sending.discard(stream)
        self.kept -= self.waiting.pop(stream, 0)
        self._note()

    def keep(self, stream: IOStream, size: int) -> None:
        """We wait for this client, and keep so many bytes meanwhile. It is dropped itself when no other can be."""
        if stream not in self.open:
            return
        self.kept += size - self.waiting.get(stream, 0)
        self.waiting[stream] = size
        while self.kept > self.limits.kept_bytes and stream in self.open:
            others = (each for each, kept in self.waiting.items() if kept and each is not stream)
            self._drop(next(others, stream))

    def carry_out(self, stream: IOStream) -> None:
        """The request is complete. What it makes us keep still counts, and it is not dropped."""
        self.served[stream] = self.waiting.pop(stream, 0)
        self._note()

    def answer(self, stream: IOStream, size: int) -> None:
        """The answer is made; so much of it has still to be sent."""
        self.kept -= self.served.pop(stream, 0)
        if size and stream in self.open:
            self.sending.add(stream)
        self.keep(stream, size)
        self._note()

    def finish(self, stream: IOStream) -> None:
        """The answer is sent."""
        self.sending.discard(stream)
        self.keep(stream, 0)
        self._note()

    def _drop(self, stream: IOStream) -> None:
        log.warning("a slow client is dropped for another", connections=len(self.open), bytes=self.kept)
        self.remove(stream)
        stream.close()

    def _note(self) -> None:
        set_when(self.all_gone, not self.open)
        set_when(self.all_answered, not self.served and not self.sending)


def set_when(event: asyncio.Event, is_so: bool) -> None:
    if is_so:
        event.set()
    else:
        event.clear()


class WebServer(httputil.HTTPServerConnectionDelegate):
    """Serves a WSGI application.

    Args:
        own_threads: paths that have a thread of their own each.
        logs_requests: one line of log for each request.
    """

    def __init__(
        self,
        application: Application,
        limits: Limits,
        *,
        own_threads: Sequence[str] = (),
        logs_requests: bool = False,
    ) -> None:
        self.application = application
        self.limits = limits
        self.logs_requests = logs_requests
        self.clients = Clients(limits)
        self.loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(limits.threads, "web")
        self._own_threads = {path: ThreadPoolExecutor(1, path) for path in own_threads}
        self._listeners: list[Listener] = []

    def listen(self, address: str, port: int, *, reuse_port: bool = False) -> int:
        """Listen at an address; several are possible.

        Returns:
            The port, which the kernel chooses when 0 was asked for.

        Raises:
            OSError: it is not free, or not ours.
        """
        sockets = bind_sockets(port, address, family=socket.AF_UNSPEC, reuse_port=reuse_port)
        listener = Listener(
            self,
            idle_connection_timeout=self.limits.idle_seconds,
            body_timeout=self.limits.body_seconds,
            max_header_size=HEADER_BYTES,
            max_body_size=READ_BYTES,
        )
        listener.server, listener.host, listener.port = self, address, sockets[0].getsockname()[1]
        listener.add_sockets(sockets)
        self._listeners.append(listener)
        return listener.port

    def choose_threads(self, path: str) -> ThreadPoolExecutor:
        return self._own_threads.get(path, self._threads)

    async def stop(self) -> bool:
        """Accept no more, answer what is under way, and close.

        Returns:
            Whether all was answered in time.
        """
        for listener in self._listeners:
            listener.stop()
            listener.conn_params.no_keep_alive = True
        # A client may just be sending on a connection that it kept.
        with suppress(TimeoutError):
            await asyncio.wait_for(self.clients.all_gone.wait(), self.limits.linger_seconds)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.clients.all_answered.wait(), self.limits.grace_seconds)
        for stream in [*self.clients.open]:
            stream.close()
        for threads in (self._threads, *self._own_threads.values()):
            threads.shutdown(wait=False, cancel_futures=True)
        return self.clients.all_answered.is_set()


class Listener(HTTPServer):
    """Listens at one address, which its requests carry: no header can claim to have come to another port."""

    server: WebServer
    host: str
    port: int

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        self.server.clients.add(stream)
        super().handle_stream(stream, address)

    def start_request(self, server_conn: object, request_conn: httputil.HTTPConnection) -> Exchange:
        return Exchange(self.server, self, cast(HTTP1Connection, request_conn))

    def on_close(self, server_conn: Any) -> None:
        super().on_close(server_conn)
        self.server.clients.remove(server_conn.stream)


class Exchange(httputil.HTTPMessageDelegate):
    """One request and its answer. `finish` hands the complete request to a thread, which hands back the answer."""

    def __init__(self, server: WebServer, listener: Listener, connection: HTTP1Connection) -> None:
        self.server, self.listener, self.connection = server, listener, connection
        self.stream = connection.stream
        self.body = bytearray()
        self.body_length = 0

    def headers_received(self, start_line: Any, headers: httputil.HTTPHeaders) -> None:
        self.start_line, self.headers = start_line, headers

    def data_received(self, chunk: bytes) -> None:
        self.body_length += len(chunk)
        room = self.server.limits.body_bytes + 1 - len(self.body)
        if room > 0:
            self.body += chunk[:room]
            self.server.clients.keep(self.stream, len(self.body))

    def on_connection_close(self) -> None:
        self.body.clear()

    def finish(self) -> None:
        environ = self.make_environ()
        self.body = bytearray()  # the environ has a copy
        self.server.clients.carry_out(self.stream)
        self.server.choose_threads(environ["PATH_INFO"]).submit(self.carry_out, environ)

    def make_environ(self) -> dict[str, Any]:
        """The request as PEP 3333 wants it.

        Raises:
            HTTPInputError: the address cannot be read.
        """
        path, query = split_target(self.start_line.path)
        headers = {
            # "_" for "-" would let a client write a header that only the proxy may set.
            f"HTTP_{name.upper().replace('-', '_')}": self.headers[name]
            for name in self.headers
            if "_" not in name
        }
        headers.pop("HTTP_TRANSFER_ENCODING", None)
        headers.pop("HTTP_CONTENT_LENGTH", None)
        return headers | {
            "REQUEST_METHOD": self.start_line.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path.encode("latin1")).decode("latin1"),
            "RAW_URI": self.start_line.path,
            "QUERY_STRING": query,
            "REMOTE_ADDR": self.connection.context.remote_ip,  # type: ignore[attr-defined]
            "SERVER_NAME": self.listener.host,
            "SERVER_PORT": str(self.listener.port),
            "SERVER_PROTOCOL": self.start_line.version,
            "CONTENT_TYPE": headers.pop("HTTP_CONTENT_TYPE", ""),
            "CONTENT_LENGTH": str(self.body_length),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(self.body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }

    def carry_out(self, environ: dict[str, Any]) -> None:
        """Run the application, in a thread."""
        began = time.monotonic()
        try:
            line, headers, body = run_application(self.server.application, environ)
        except Exception:
            log.exception("the application failed outside of its own error pages")
            line, headers, body = FAILED, httputil.HTTPHeaders({"Content-Length": "0"}), b""
        if self.server.logs_requests:
            log.info(
                "request",
                status=line.code,
                method=environ["REQUEST_METHOD"],
                path=make_printable(environ["PATH_INFO"]),
                seconds=round(time.monotonic() - began, 4),
                address=environ["REMOTE_ADDR"],
            )
        if environ["REQUEST_METHOD"] == "HEAD":
            body = b""  # its length stands in the headers
        self.server.loop.call_soon_threadsafe(self.answer, line, headers, body)

    def answer(self, line: httputil.ResponseStartLine, headers: httputil.HTTPHeaders, body: bytes) -> None:
        """Send the answer, in the loop; a client that does not take it in time is dropped."""
        clients = self.server.clients
        try:
            sent = self.connection.write_headers(line, headers, chunk=body)
        except (ValueError, httputil.HTTPOutputError):
            log.exception("the application's answer cannot be sent")
            clients.answer(self.stream, 0)
            self.stream.close()
            return
        clients.answer(self.stream, 0 if sent.done() else len(body))
        if not sent.done():
            timer = self.server.loop.call_later(self.server.limits.answer_seconds, self.stream.close)

            def finish(_: asyncio.Future[None]) -> None:
                timer.cancel()
                clients.finish(self.stream)

            sent.add_done_callback(finish)
        self.connection.finish()


def run_application(
    application: Application, environ: dict[str, Any]
) -> tuple[httputil.ResponseStartLine, httputil.HTTPHeaders, bytes]:
    """Returns first line, headers and body of the application's answer; the application has closed it.

    Raises:
        HTTPInputError: a header cannot be sent.
    """
    begun: list[Any] = []
    parts = BytesIO()

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        begun[:] = [status, headers]
        return parts.write

    answer = application(environ, start_response)
    try:
        parts.writelines(answer)
    finally:
        if close := getattr(answer, "close", None):
            close()
    status, given = begun
    body, headers = parts.getvalue(), httputil.HTTPHeaders()
    for name, value in given:
        headers.add(name, value.strip())  # Django's cookies begin with a space
    line = httputil.ResponseStartLine("HTTP/1.1", int(status[:3]), status[4:])
    if "Content-Length" not in headers and line.code not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        headers["Content-Length"] = str(len(body))
    headers["Date"] = formatdate(usegmt=True)
    return line, headers, body


def split_target(target: str) -> tuple[str, str]:
    """Split what stands in the request's first line into path and query.

    Raises:
        HTTPInputError: it is no address.
    """
    if not target.startswith("/"):
        try:
            address = urlsplit(target)
        except ValueError as error:
            raise httputil.HTTPInputError(f"no address: {error}") from error
        return address.path or "/", address.query
    path, _, query = target.partition("?")
    return path, query


class CannotListen(Exception):
    """The text says where, and why."""


async def serve(
    make_server: Callable[[], WebServer], binds: Sequence[tuple[str, int]], *, reuse_port: bool
) -> bool:
    """Serve until SIGTERM or SIGINT.

    Returns:
        Whether all was answered that was under way then.

    Raises:
        CannotListen: an address is not ours, or not free.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server = make_server()
    ports = []
    for address, port in binds:
        try:
            ports.append(server.listen(address, port, reuse_port=reuse_port))
        except (OSError, UnicodeError) as error:
            raise CannotListen(f"cannot listen at {address}:{port}: {error}") from error
    shown = ", ".join(f"{address}:{port}" for (address, _), port in zip(binds, ports, strict=True))
    print(f"web ready at {shown}", flush=True)
    await stopping.wait()
    return await server.stop()
