"""Calls to the outside world over HTTP, with a limit on the time of a whole call.

A socket's time-out restarts with every byte, so a peer that drips its answer can hold a thread for hours.
`LimitedClient` puts one deadline over connect, send, every read and its own repeats. `JsonClient` adds what
our providers speak: JSON, an idempotency key with each POST, and three ends of a call that is not just done:

- refused: the other side understood and said no (422); final.
- unknown: time-out, 5xx, broken connection, unreadable answer: repeat with the same key.
- failed: our side is wrong (other 4xx); this call did nothing and a human has to look.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any
from uuid import UUID

import httpcore
import httpx
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

CALL_SECONDS = 10.0
ATTEMPTS = 3
CONNECT_SHARE = 0.25
CONNECTIONS = 64
KEPT_SECONDS = 30.0
REFUSED = 422
LATER = {408, 425, 429}
UNAVAILABLE = 503
KEY_HEADER = "Idempotency-Key"
HEAD_END = b"\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*(?=\r\n|$)", re.IGNORECASE)


class _Deadline(threading.local):
    """When this thread's call must be over; httpx works in the caller's thread."""

    at = float("inf")

    def left(self, wanted: float | None, error: type[Exception]) -> float | None:
        left = self.at - time.monotonic()
        if left <= 0:
            raise error("the time limit of the whole call is over")
        return left if wanted is None else min(wanted, left)


class _LimitedStream(httpcore.NetworkStream):
    """Also sees whether more came than one answer.

    httpcore would take what is left over, as a second answer to the same call, for the answer to the next call.
    """

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline
        self._head = b""
        self._received = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        received = self._stream.read(max_bytes, self._deadline.left(timeout, httpcore.ReadTimeout))
        self._received += len(received)
        if HEAD_END not in self._head:
            self._head += received
        return received

    def _is_clean(self) -> bool:
        """Whether what came since the last call was exactly one answer; without its length nobody knows."""
        head, end, _ = self._head.partition(HEAD_END)
        length = CONTENT_LENGTH.search(head)
        return not head or bool(length and self._received == len(head) + len(end) + int(length[1]))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._head, self._received = b"", 0
        self._stream.write(buffer, self._deadline.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout, httpcore.ConnectTimeout)
        return _LimitedStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        # The pool drops an idle connection on which there is something to read.
        if info == "is_readable" and not self._is_clean():
            return True
        return self._stream.get_extra_info(info)


class _LimitedBackend(httpcore.SyncBackend):
    def __init__(self, deadline: _Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout, httpcore.ConnectTimeout)
        stream = super().connect_tcp(host, port, left, local_address, socket_options)
        return _LimitedStream(stream, self._deadline)


class _LimitedTransport(httpx.HTTPTransport):
    def __init__(self, deadline: _Deadline) -> None:
        super().__init__(trust_env=False)
        # httpx has no parameter for the network backend, httpcore's pool has one.
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS,
            keepalive_expiry=KEPT_SECONDS,
            network_backend=_LimitedBackend(deadline),
        )


class LimitedClient:
    """A pool of kept connections, safe to share between threads and over a fork.

    Every request must be safe to repeat (a GET, or a POST with an idempotency key): after a broken
    connection it is sent again, within the same limit. A time-out is not repeated here. Proxy settings of the
    environment are not used, since a proxy would escape the limit.

    Args:
        seconds: limit of one call in total. The look-up of a host name in the DNS is not interrupted.
    """

    def __init__(self, *, seconds: float = CALL_SECONDS) -> None:
        self._seconds = seconds
        self._deadline = _Deadline()
        self._guard = threading.Lock()
        self._process = 0
        self._client: httpx.Client | None = None
        self._repeats = Retrying(
            retry=retry_if_exception_type((httpx.NetworkError, httpx.RemoteProtocolError)),
            stop=stop_after_attempt(ATTEMPTS) | stop_before_delay(seconds),
            wait=wait_random_exponential(multiplier=0.1, max=seconds / 20),
            reraise=True,
        )

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: str | bytes | None = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request and read its whole answer.

        Raises:
            httpx.TransportError: no complete answer within the limit; what happened over there is unknown.
        """
        client = self._for_this_process()
        with self.limit():
            return self._repeats(client.request, method, url, headers=headers, content=content, params=params)

    @contextmanager
    def limit(self) -> Iterator[None]:
        """One limit over all requests of this thread in the block; an outer limit still holds."""
        outer = self._deadline.at
        self._deadline.at = min(outer, time.monotonic() + self._seconds)
        try:
            yield
        finally:
            self._deadline.at = outer

    def close(self) -> None:
        """Close the kept connections; the next call opens new ones."""
        with self._guard:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _for_this_process(self) -> httpx.Client:
        with self._guard:
            # Two processes that share a connection after a fork would read each other's answers.
            if self._client is None or self._process != os.getpid():
                self._process = os.getpid()
                self._client = httpx.Client(
                    transport=_LimitedTransport(self._deadline),
                    timeout=httpx.Timeout(self._seconds, connect=self._seconds * CONNECT_SHARE),
                    trust_env=False,
                )
            return self._client


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The caller's own exceptions for the three ends; a code is stable, a reason is for people.

    Args:
        away: for an unknown end of which is known that nobody was there to do anything; none: it is unknown, too.
    """

    refused: Callable[[str, str], Exception]
    unknown: Callable[[str], Exception]
    failed: Callable[[str, str], Exception]
    away: Callable[[str], Exception] | None = None


class JsonClient:
    """JSON calls to one service whose errors are problems (RFC 9457) or ``{"error": {"code", "reason"}}``."""

    def __init__(
        self, base_url: str, outcomes: Outcomes, *, seconds: float = CALL_SECONDS, token: str = ""
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._outcomes = outcomes
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = LimitedClient(seconds=seconds)

    def post(self, path: str, body: Mapping[str, Any], *, key: str) -> dict[str, Any]:
        """Do something once, however often it is called with this idempotency key."""
        headers = {**self._headers, KEY_HEADER: key, "Content-Type": "application/json"}
        return self._call("POST", path, headers=headers, content=json.dumps(body))

    def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Read something."""
        return self._call("GET", path, headers=self._headers, params=params)

    def items(self, path: str, params: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """All items of a paged list ``{"items": […], "next": cursor}``; the limit holds for each page."""
        after: str | None = "0"
        while after is not None:
            page = self.get(path, {**params, "after": after})
            yield from page["items"]
            after = page["next"]

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()

    def _call(self, method: str, path: str, **parts: Any) -> dict[str, Any]:
        try:
            response = self._client.send(method, self._base_url + path, **parts)
        except httpx.TransportError as error:
            unreached = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            kind = (unreached and self._outcomes.away) or self._outcomes.unknown
            raise kind(f"{method} {path}: {type(error).__name__}: {error}") from error
        asked = parts["headers"].get(KEY_HEADER)
        if response.headers.get(KEY_HEADER, asked) != asked:
            # A second answer to an earlier call that came late; ours would be read by the next call.
            response.extensions["network_stream"].close()
            raise self._outcomes.unknown(f"{method} {path}: what came answers another call")
        status = response.status_code
        if status == UNAVAILABLE and self._outcomes.away:
            raise self._outcomes.away(f"{method} {path}: answered {status}: {response.text[:200]}")
        if status >= 500 or status in LATER:
            raise self._outcomes.unknown(f"{method} {path}: answered {status}: {response.text[:200]}")
        try:
            body = response.json()
        except ValueError:
            body = None
        if 200 <= status < 300:
            if not isinstance(body, dict):
                raise self._outcomes.unknown(
                    f"{method} {path}: answered {status}, but not with a JSON object"
                )
            return body
        raise (self._outcomes.refused if status == REFUSED else self._outcomes.failed)(
            *told(body, str(status), response.text[:200])
        )


def told(body: Any, code: str, reason: str) -> tuple[str, str]:
    """Code and reason of an error's body; those given where it has none."""
    details = body.get("error", body) if isinstance(body, dict) else {}
    if not isinstance(details, dict):
        return code, reason
    return str(details.get("code", code)), str(details.get("reason") or details.get("detail") or reason)


def order_id(reference: str) -> UUID | None:
    """Our order id in somebody else's books; None for a reference that we never gave."""
    try:
        return UUID(reference)
    except ValueError:
        return None
