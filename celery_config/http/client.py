"""HTTP client with one deadline over a whole call: no server can hold a thread longer.

A socket's time-out restarts with every byte, so a server that sends its answer in drops can hold a thread for hours.
`DeadlineClient` has one deadline for connecting, sending, every read and its own repeats.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from ssl import SSLContext
from typing import Any

import httpcore
import httpx
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from celery_config.http.public_addresses import Resolve

CALL_SECONDS = 10.0
ATTEMPTS = 3
CONNECT_SHARE = 0.25
CONNECTIONS = 64
LARGEST_ANSWER = 32 * 1024 * 1024
"""In bytes, head included; five thousand rows of a published table are the largest that anybody asks for."""
KEPT_SECONDS = 30.0
HEAD_END = b"\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*(?=\r\n|$)", re.IGNORECASE)


class Deadline(threading.local):
    """The deadline of this thread's call; httpx works in the caller's thread."""

    at = float("inf")

    @contextmanager
    def hold(self, seconds: float) -> Iterator[None]:
        """Put one deadline over the block; an outer one still holds."""
        outer = self.at
        self.at = min(outer, time.monotonic() + seconds)
        try:
            yield
        finally:
            self.at = outer

    def limit(self, timeout: float | None, error: type[Exception]) -> float | None:
        """Return the time-out within the deadline, in seconds."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise error("the time limit of the whole call is over")
        return left if timeout is None else min(timeout, left)


class _DeadlineStream(httpcore.NetworkStream):
    """A stream that also notices when more than one answer arrives.

    httpcore would take the rest, such as a second answer to the same call, for the answer to the next call.
    """

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline
        self._head = b""
        self._received = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        received = self._stream.read(max_bytes, self._deadline.limit(timeout, httpcore.ReadTimeout))
        self._received += len(received)
        if self._received > LARGEST_ANSWER:
            raise httpcore.ReadError(f"the answer has more than {LARGEST_ANSWER} bytes")
        if HEAD_END not in self._head:
            self._head += received
        return received

    def _is_clean(self) -> bool:
        """Whether exactly one answer arrived since the last call; without a length this is unknown, so it is not."""
        head, end, _ = self._head.partition(HEAD_END)
        length = CONTENT_LENGTH.search(head)
        return not head or bool(length and self._received == len(head) + len(end) + int(length[1]))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._head, self._received = b"", 0
        self._stream.write(buffer, self._deadline.limit(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._deadline.limit(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        # The pool drops an idle connection on which there is something to read.
        if info == "is_readable" and not self._is_clean():
            return True
        return self._stream.get_extra_info(info)


class _DeadlineBackend(httpcore.SyncBackend):
    def __init__(self, deadline: Deadline, resolve: Resolve | None = None) -> None:
        self._deadline = deadline
        self._resolve = resolve

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        *others, last = self._resolve(host, port) if self._resolve else [host]
        for address in others:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return self._connect(address, port, timeout, local_address, socket_options)
        return self._connect(last, port, timeout, local_address, socket_options)

    def _connect(self, host: str, port: int, timeout: float | None, *options: Any) -> httpcore.NetworkStream:
        left = self._deadline.limit(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(super().connect_tcp(host, port, left, *options), self._deadline)


class DeadlineTransport(httpx.HTTPTransport):
    """
    Args:
        resolve: says at which addresses a host may be called; by default at any.
    """

    def __init__(self, deadline: Deadline, resolve: Resolve | None = None) -> None:
        context = httpx.create_ssl_context(trust_env=False)
        super().__init__(verify=context, trust_env=False)
        # httpx has no parameter for the network backend, httpcore's pool has one.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS,
            keepalive_expiry=KEPT_SECONDS,
            network_backend=_DeadlineBackend(deadline, resolve),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; its answer comes as it is. Packed, one of the largest size may become a thousand times that.

        Raises:
            httpx.TransportError: no answer, or one that is packed all the same.
        """
        request.headers["Accept-Encoding"] = "identity"
        response = super().handle_request(request)
        if (coding := response.headers.get("Content-Encoding", "identity")) != "identity":
            response.close()
            raise httpx.ReadError(f"the answer is packed ({coding}), and was asked for as it is")
        return response


def forget_stream(response: httpx.Response) -> None:
    """Let an answer that was read go with its last reference.

    It and its stream name each other, and so some fifty objects of each call would wait for Python's collector, which
    rarely runs here; meanwhile the heap grows around them.
    """
    response.stream = httpx.ByteStream(response.content)


class DeadlineClient:
    """A pool of kept connections, safe to share between threads and over a fork.

    Every request must be safe to repeat (a GET, or a POST with an idempotency key): after a broken connection it is
    sent again, within the same deadline. After a time-out it is not. Proxy settings of the environment are not used,
    since the deadline would not hold for a proxy.

    Args:
        seconds: limit of one call in total; a DNS look-up is not interrupted.
    """

    def __init__(self, *, seconds: float = CALL_SECONDS) -> None:
        self._seconds = seconds
        self._deadline = Deadline()
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
            httpx.TransportError: no complete answer within the limit; whether the server did anything is unknown.
        """
        client = self._for_this_process()
        with self.limit():
            response: httpx.Response = self._repeats(
                client.request, method, url, headers=headers, content=content, params=params
            )
        forget_stream(response)
        return response

    @contextmanager
    def limit(self) -> Iterator[None]:
        """Put one deadline over all requests of this thread in the block; an outer one still holds."""
        with self._deadline.hold(self._seconds):
            yield

    def _for_this_process(self) -> httpx.Client:
        with self._guard:
            # Two processes that share a connection after a fork would read each other's answers.
            if self._client is None or self._process != os.getpid():
                self._process = os.getpid()
                self._client = httpx.Client(
                    transport=DeadlineTransport(self._deadline),
                    timeout=httpx.Timeout(self._seconds, connect=self._seconds * CONNECT_SHARE),
                    trust_env=False,
                )
            return self._client
