"""The web's HTTP server: others are answered, however slow some clients are."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from tornado.iostream import IOStream

from celery_config.web.server import Limits, WebServer

LIMITS = Limits(threads=2, body_bytes=1000, connections=100, linger_seconds=0.1, grace_seconds=5.0)
SLOW_CLIENTS = 64
GET = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"


class Shop:
    """A WSGI application. `/held` waits until it is let go; `/large` answers more than any socket's buffer takes."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.held = threading.Semaphore(0)
        self.seen: dict[str, Any] = {}
        self.headers: dict[str, list[tuple[str, str]]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        self.seen = environ | {"body": body}
        if environ["PATH_INFO"] == "/held":
            self.held.release()
            self.let_go.wait(10)
        if environ["PATH_INFO"] == "/broken":
            raise RuntimeError("the secret is 42")
        start_response(
            "200 OK", [("Content-Type", "text/plain"), *self.headers.get(environ["PATH_INFO"], [])]
        )
        return [b"x" * 20_000_000] if environ["PATH_INFO"] == "/large" else [b"got ", body]


class Running:
    def __init__(self, application: Shop, limits: Limits) -> None:
        self.application = application
        self.ready = threading.Event()
        self.all_answered = False
        self._limits = limits
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self.ready.wait(10)

    async def _serve(self) -> None:
        self._stopping, self._loop = asyncio.Event(), asyncio.get_running_loop()
        self.server = WebServer(self.application, self._limits, own_threads=("/healthz",))
        self.ports = [self.server.listen("127.0.0.1", 0) for _ in range(2)]
        self.ready.set()
        await self._stopping.wait()
        self.all_answered = await self.server.stop()

    def begin_stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)

    def stop(self) -> None:
        self.application.let_go.set()
        self.begin_stop()
        self.join()

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()

    def connect(self, sends: bytes = b"", listener: int = 0) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.ports[listener]), timeout=5)
        connection.sendall(sends)
        return connection

    def ask(self, sends: bytes, listener: int = 0) -> bytes:
        with self.connect(sends, listener) as connection:
            return read_answer(connection)


def read_answer(connection: socket.socket) -> bytes:
    """One answer with its body; what came until the end when the server closes."""
    got = bytearray()
    while part := receive(connection):
        got += part
        head, end, body = got.partition(b"\r\n\r\n")
        length = next(
            (int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length")), None
        )
        if end and length is not None and len(body) >= length:
            break
    return bytes(got)


def read_head(connection: socket.socket) -> bytes:
    """One answer without its body."""
    got = bytearray()
    while not got.endswith(b"\r\n\r\n") and (part := connection.recv(1)):
        got += part
    return bytes(got)


def receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1_000_000)
    except ConnectionResetError:
        return b""


@contextmanager
def running(limits: Limits) -> Iterator[Running]:
    server = Running(Shop(), limits)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def web() -> Iterator[Running]:
    with running(LIMITS) as server:
        yield server


def is_dropped(connection: socket.socket) -> bool:
    """Whether the server closes the connection before its answer is complete."""
    return not receive(connection)


def is_fine(answer: bytes) -> bool:
    return answer.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    "slow",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost:", id="headers"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc", id="body"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab", id="chunks"),
        pytest.param(GET % b"large", id="answer"),
    ],
)
def test_slow_clients_hold_no_thread(web: Running, slow: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(8 if b"large" in slow else SLOW_CLIENTS):
            stack.enter_context(web.connect(slow))
        assert is_fine(web.ask(GET % b"healthz"))
        assert is_fine(web.ask(GET % b"order"))


def test_a_health_page_is_answered_while_all_threads_are_busy(web: Running) -> None:
    with ExitStack() as stack:
        for _ in range(LIMITS.threads + 1):
            stack.enter_context(web.connect(GET % b"held"))
        for _ in range(LIMITS.threads):
            assert web.application.held.acquire(timeout=5)
        assert is_fine(web.ask(GET % b"healthz"))


@pytest.mark.parametrize(
    ("limits", "slow"),
    [
        (replace(LIMITS, idle_seconds=0.2), b"GET / HTTP/1.1\r\nHost:"),
        (replace(LIMITS, body_seconds=0.2), b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"),
    ],
    ids=["headers", "body"],
)
def test_who_takes_too_long_is_dropped(limits: Limits, slow: bytes) -> None:
    with running(limits) as web, web.connect(slow) as connection:
        assert is_dropped(connection)


def test_who_does_not_take_the_answer_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(replace(LIMITS, answer_seconds=0.2)) as web:
        dropped, remove = threading.Event(), web.server.clients.remove

        def note(stream: IOStream) -> None:
            remove(stream)
            dropped.set()

        monkeypatch.setattr(web.server.clients, "remove", note)
        connection = web.connect(GET % b"large")
        assert dropped.wait(5)
        with connection:
            assert len(read_answer(connection)) < 20_000_000


def test_one_client_too_many_replaces_the_one_that_has_waited_longest() -> None:
    with running(replace(LIMITS, connections=2)) as web, web.connect(GET % b"held") as held:
        assert web.application.held.acquire(timeout=5)
        with web.connect(b"GET") as oldest, web.connect(GET % b"order") as other:
            assert is_fine(read_answer(other))
            assert is_dropped(oldest)
        web.application.let_go.set()
        assert is_fine(read_answer(held))


def test_what_slow_clients_make_us_keep_is_bounded() -> None:
    body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n" + b"x" * 800
    with running(replace(LIMITS, kept_bytes=2000)) as web, ExitStack() as stack:
        clients = [stack.enter_context(web.connect(body)) for _ in range(3)]
        [dropped], _, _ = select.select(clients, [], [], 5)
        assert is_dropped(dropped)
        assert web.server.clients.kept == 1600
        assert is_fine(web.ask(GET % b"order"))


def test_what_waits_for_a_thread_is_bounded_too() -> None:
    whole = b"POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n" + b"x" * 900
    with running(replace(LIMITS, threads=1, kept_bytes=2000)) as web, ExitStack() as stack:
        served = [stack.enter_context(web.connect(whole)) for _ in range(3)]
        assert web.application.held.acquire(timeout=5)
        # Two fit. The third is dropped, since the others are not slow.
        [dropped], _, _ = select.select(served, [], [], 5)
        assert is_dropped(dropped)
        assert web.server.clients.kept == 1800
        assert is_fine(web.ask(GET % b"healthz"))
        web.application.let_go.set()
        assert all(is_fine(read_answer(client)) for client in served if client is not dropped)


class TestARequest:
    def test_arrives_as_it_was_sent(self, web: Running) -> None:
        headers = b"Host: a:1\r\nX-Two: 1\r\nContent-Type: t/x\r\nContent-Length: 3\r\n\r\n"
        answer = web.ask(b"POST /a%20b/%C3%A9?x=%201 HTTP/1.1\r\n" + headers + b"abc")
        assert answer.endswith(b"got abc")
        seen = web.application.seen
        assert seen["PATH_INFO"].encode("latin1").decode() == "/a b/é"
        assert (seen["QUERY_STRING"], seen["HTTP_X_TWO"]) == ("x=%201", "1")
        assert (seen["CONTENT_TYPE"], seen["CONTENT_LENGTH"]) == ("t/x", "3")
        assert seen["REMOTE_ADDR"] == "127.0.0.1"

    def test_in_chunks_arrives_whole(self, web: Running) -> None:
        chunks = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        assert web.ask(chunks).endswith(b"got abcde")
        assert web.application.seen["CONTENT_LENGTH"] == "5"
        assert "HTTP_TRANSFER_ENCODING" not in web.application.seen

    def test_says_to_which_port_it_came_whatever_its_headers_say(self, web: Running) -> None:
        for number, port in enumerate(web.ports):
            web.ask(
                b"GET / HTTP/1.1\r\nHost: a:8100\r\nX-Forwarded-Port: 8100\r\nServer-Port: 8100\r\n\r\n",
                number,
            )
            assert web.application.seen["SERVER_PORT"] == str(port)

    def test_cannot_write_a_header_of_the_proxy_in_another_way(self, web: Running) -> None:
        web.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_Proto: https\r\nX-Forwarded_Proto: https\r\n\r\n")
        assert "HTTP_X_FORWARDED_PROTO" not in web.application.seen

    @pytest.mark.parametrize(
        "sent",
        [
            b"Content-Length: 5000\r\n\r\n" + b"x" * 5000,
            b"Transfer-Encoding: chunked\r\n\r\n1388\r\n" + b"x" * 5000 + b"\r\n0\r\n\r\n",
        ],
        ids=["whole", "in chunks"],
    )
    def test_of_which_more_comes_than_is_kept_says_its_length(self, web: Running, sent: bytes) -> None:
        web.ask(b"POST / HTTP/1.1\r\nHost: a\r\n" + sent)
        assert web.application.seen["CONTENT_LENGTH"] == "5000"
        assert len(web.application.seen["body"]) == 1001

    @pytest.mark.parametrize(
        "broken",
        [
            b"nonsense\r\n\r\n",
            b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n0123456789",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n Content-Length: 3\r\n\r\nabc",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\r\n",
        ],
    )
    def test_that_cannot_be_read_is_refused_and_its_connection_closed(
        self, web: Running, broken: bytes
    ) -> None:
        assert web.ask(broken).startswith(b"HTTP/1.1 400 ")
        assert not web.application.seen

    def test_follows_another_on_its_connection(self, web: Running) -> None:
        with web.connect(GET % b"1") as connection:
            assert is_fine(read_answer(connection))
            connection.sendall(GET % b"2" + GET % b"3")
            assert is_fine(read_answer(connection))
        assert is_fine(web.ask(b"GET / HTTP/1.0\r\n\r\n"))

    def test_for_the_head_alone_is_answered_without_a_body(self, web: Running) -> None:
        with web.connect(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET % b"2") as connection:
            head = read_head(connection)
            assert is_fine(head)
            assert b"\r\nContent-Length: 4\r\n" in head
            assert is_fine(read_answer(connection))


def test_cookies_are_sent_as_django_writes_them(web: Running) -> None:
    web.application.headers["/cookies"] = [("Set-Cookie", f" {name}=1; Path=/") for name in ("one", "two")]
    head = web.ask(GET % b"cookies").partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert {b"Set-Cookie: one=1; Path=/", b"Set-Cookie: two=1; Path=/"} <= {*head}


@pytest.mark.parametrize("header", [("X-Bad", "a\nb"), ("Content-Length", "1")])
def test_an_answer_that_cannot_be_sent_harms_no_other(web: Running, header: tuple[str, str]) -> None:
    web.application.headers["/bad"] = [header]
    assert not is_fine(web.ask(GET % b"bad"))
    assert is_fine(web.ask(GET % b"order"))


def test_an_error_shows_no_details(web: Running) -> None:
    answer = web.ask(GET % b"broken")
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"42" not in answer


class TestAStop:
    def test_lets_what_is_under_way_be_answered(self) -> None:
        web = Running(Shop(), LIMITS)
        with web.connect(GET % b"held") as held, web.connect() as idle:
            assert web.application.held.acquire(timeout=5)
            web.begin_stop()
            web.application.let_go.set()
            assert is_fine(read_answer(held))
            assert is_dropped(idle)
        web.join()
        assert web.all_answered

    def test_waits_no_longer_than_it_may(self) -> None:
        web = Running(Shop(), replace(LIMITS, grace_seconds=0.1))
        with web.connect(GET % b"held") as held:
            assert web.application.held.acquire(timeout=5)
            web.begin_stop()
            assert is_dropped(held)
            web.join()
        web.application.let_go.set()
        assert not web.all_answered
