"""AMQP transport: py-amqp's with fewer system calls, and with a time limit for everything that waits for the broker.

py-amqp reads each frame in three pieces, with two changes of the socket's time-out around each, and writes each message
by itself. Each of these calls releases Python's lock, and the thread that runs the batch takes it. Here a read takes
what has arrived, a frame that is in the buffer needs no time-out, and a batch of messages is one write.

py-amqp waits without limit for the answer to a call: to open or close a channel or connection, to declare or cancel. A
broker that hangs, or that has a resource alarm, does not answer. What is written has a limit already: the kernel gives
up after a second in which the broker takes nothing (`TCP_USER_TIMEOUT`, which py-amqp sets).
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from socket import MSG_DONTWAIT
from typing import Any

import kombu
import structlog
from amqp import serialization, spec
from amqp.exceptions import AMQPError, ChannelError, RecoverableConnectionError, error_for_code
from amqp.transport import TCPTransport
from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES, pyamqp

from celery_config.broker.properties import mend_routing_key, read_properties

log = structlog.get_logger(__name__)
CONNECT_SECONDS = 4.0
"""For each of the hosts, to connect."""
ANSWER_SECONDS = 10.0
"""For each call that the broker answers."""
FAREWELL_SECONDS = 1.0
"""To close a channel or connection in good order; then it is dropped."""
READ_BYTES = 32 * 1024
MAX_HELD_BYTES = 256 * 1024
DEFAULT_TLS = {"cert_reqs": ssl.CERT_REQUIRED}
HEADER = 7  # of a frame: type, channel, and the size of the payload; one byte that ends the frame follows it


class BufferedTransport(TCPTransport):
    def _setup_transport(self) -> None:
        super()._setup_transport()
        self.send = self.sock.sendall
        self.flags = 0
        self._quick_recv = self.receive
        self._write = self.hold_or_send
        self.holding = False
        self.held = bytearray()

    def receive(self, wanted: int) -> bytes:
        try:
            return bytes(self.sock.recv(max(wanted, READ_BYTES), self.flags))
        except BlockingIOError:
            if not self.flags:
                raise
            # py-amqp would ask again and again until the rest of a frame has arrived.
            raise TimeoutError("nothing more has arrived") from None

    def having_timeout(self, timeout: float | None) -> AbstractContextManager[Any]:
        if self.has_frame():
            return nullcontext(self.sock)
        return self.read_without_waiting() if timeout == 0 else super().having_timeout(timeout)

    @contextmanager
    def read_without_waiting(self) -> Iterator[Any]:
        """Read only what has arrived, without a change of the socket's time-out."""
        self.flags = MSG_DONTWAIT
        try:
            yield self.sock
        finally:
            self.flags = 0

    def has_frame(self) -> bool:
        """Whether a whole frame waits in the buffer."""
        buffer = self._read_buffer
        return len(buffer) > HEADER and len(buffer) > HEADER + int.from_bytes(buffer[3:HEADER], "big")

    def hold_or_send(self, data: bytes) -> None:
        if not self.holding:
            self.send(data)
            return
        self.held += data
        if len(self.held) > MAX_HELD_BYTES:
            self.send_held()

    def send_held(self) -> None:
        held, self.held = self.held, bytearray()
        try:
            if held:
                self.send(held)
        except TimeoutError as error:
            # The network timed out, not the broker's confirm: py-amqp itself raises this for each message.
            raise RecoverableConnectionError(str(error)) from error

    @contextmanager
    def hold_writes(self) -> Iterator[None]:
        """Hold what is written in this block and send it as one at the end; after an error nothing is sent."""
        self.holding = True
        try:
            yield
            self.send_held()
        finally:
            self.holding = False
            self.held.clear()


class AnswersInTime:
    """Part of a channel and of a connection: a call that is not answered in time loses the connection."""

    connection: Any
    is_closing: bool

    def wait(self, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        connection = self.connection
        if connection is None:
            raise RecoverableConnectionError("connection already closed")
        before = connection.answer_by
        seconds = timeout or (
            FAREWELL_SECONDS if self.is_closing else connection.answer_seconds or ANSWER_SECONDS
        )
        connection.answer_by = time.monotonic() + seconds
        try:
            return super().wait(*args, **kwargs)  # type: ignore[misc]
        finally:
            connection.answer_by = before


class Channel(AnswersInTime, pyamqp.Channel):
    """A channel whose calls have a time limit."""

    notes_close = False
    """Whether the broker's close of it is noted; else it is raised, in whatever reads from the connection."""
    closed: AMQPError | None = None
    """Why the broker has closed it."""

    def _on_close(self, code: int, text: str, class_id: int, method_id: int) -> None:
        if self.notes_close:
            # Until the close is confirmed, the broker drops what is still written on this channel.
            self.closed = error_for_code(code, text, (class_id, method_id), ChannelError)
        else:
            super()._on_close(code, text, class_id, method_id)

    def leave(self) -> None:
        """Close it, or confirm that the broker has, without waiting for an answer."""
        if self.closed:
            self.send_method(spec.Channel.CloseOk)
            self.collect()
        else:
            self.send_method(spec.Channel.Close, "BsBB", (0, "", 0, 0))


class Connection(AnswersInTime, pyamqp.Connection):
    """A connection over this transport; over TLS, however it was requested, over py-amqp's own.

    TLS is TLS: py-amqp by itself checks neither the certificate nor the host's name.
    """

    Channel = Channel
    answer_seconds: float | None = None
    """How long it waits for an answer, if not for `ANSWER_SECONDS`."""
    answer_by: float | None = None
    """Until when the call under way must be answered."""
    blocked = False
    """Whether the broker says that it reads nothing more from here: it has a resource alarm."""

    def Transport(self, host: str, connect_timeout: float, tls: Any, *times: Any, **more: Any) -> Any:
        if tls:
            named = {
                **DEFAULT_TLS,
                **(tls if isinstance(tls, dict) else {}),
                "server_hostname": host_name(host),
            }
            return super().Transport(host, connect_timeout, named, *times, **more)
        return BufferedTransport(host, connect_timeout, *times, **more)

    def drain_events(self, timeout: float | None = None) -> Any:
        if timeout is not None or self.answer_by is None:
            return super().drain_events(timeout)
        try:
            while not self.blocking_read(max(0.001, self.answer_by - time.monotonic())):
                if time.monotonic() > self.answer_by:
                    raise TimeoutError("not answered in time")
        except TimeoutError as error:
            # Whatever is called next on it would wait as long.
            self.collect()
            raise RecoverableConnectionError("the broker does not answer") from error

    def _on_blocked(self) -> None:
        self.blocked = True
        super()._on_blocked()

    def _on_unblocked(self) -> None:
        self.blocked = False
        super()._on_unblocked()

    def on_inbound_method(self, channel_id: int, method: Any, arguments: bytes, content: Any) -> Any:
        if method == spec.Basic.Deliver:
            arguments = mend_routing_key(arguments)
        return super().on_inbound_method(channel_id, method, arguments, content)


def host_name(host: str) -> str:
    """The name in `name:port`, or the address in `[address]:port`."""
    name, _, _ = host.rpartition(":")
    return name.strip("[]")


class Transport(pyamqp.Transport):
    """kombu's transport for `amqp://`."""

    Connection = Connection

    def on_readable(self, connection: Any, loop: Any) -> None:
        """Read one message; the consumer reads those that came with it (`has_frame`) before the event loop waits.

        kombu would ask the socket once more after each message, only to find nothing.
        """
        if not isinstance(connection.transport, BufferedTransport):
            super().on_readable(connection, loop)
            return
        if not connection.connected:
            raise RecoverableConnectionError("the broker is disconnected")
        with suppress(TimeoutError):  # the rest of the message is still under way
            connection.drain_events(timeout=0)


class SSLTransport(Transport, pyamqp.SSLTransport):
    """kombu's transport for `amqps://`."""


def register() -> None:
    """Let every connection of this process be one of these, and read properties within bounds.

    After a failover kombu goes by the URL's scheme alone.
    """
    TRANSPORT_ALIASES.update({"amqp": f"{__name__}:Transport", "amqps": f"{__name__}:SSLTransport"})
    serialization.PROPERTY_CLASSES[spec.Basic.CLASS_ID] = read_properties


answered: dict[tuple[str, ...], str] = {}
"""Of several hosts the one that answered last."""


def connect(connection: kombu.Connection, seconds: float = CONNECT_SECONDS) -> None:
    """Connect to the first of the URL's hosts that answers, beginning with the one that did last.

    Args:
        seconds: that each host has, so that one that hangs does not hide the others.

    Raises:
        OperationalError: none does.
        AMQP errors: one answers and does not let us in.
    """
    hosts = tuple(connection.alt or ())
    first = answered.get(hosts, "")
    for host in sorted(hosts, key=first.__ne__) or [""]:
        if host:
            connection.switch(host)
        connection.connect_timeout = seconds
        try:
            connection.ensure_connection(max_retries=0)
        except OperationalError as error:
            log.debug("a host of the broker does not answer", host=connection.as_uri(), error=repr(error))
            failure = error
        else:
            answered[hosts] = host
            return
    raise failure


def hold_writes(connection: Any) -> AbstractContextManager[None]:
    """Send what is published in this block as one write, where the transport can."""
    transport = get_buffered(connection)
    return transport.hold_writes() if transport else nullcontext()


def drain_one(connection: Any, seconds: float) -> bool:
    """Handle one frame from the broker; return False if none comes in time.

    Args:
        connection: kombu's or py-amqp's.
        seconds: to wait, more than 0.

    Raises:
        the connection's errors: it is lost. A TimeoutError with ETIMEDOUT comes from the network, not from a silent
            broker.
    """
    try:
        connection.drain_events(timeout=max(0.001, seconds))  # zero would mean no limit
    except TimeoutError as error:
        if error.errno is not None:
            raise
        return False
    return True


def has_frame(connection: Any) -> bool:
    """Whether a frame has arrived that is not read yet."""
    transport = get_buffered(connection)
    return transport is not None and transport.has_frame()


def get_buffered(connection: Any) -> BufferedTransport | None:
    """Return the transport of a kombu connection, None if that is lost (its attributes would connect again)."""
    transport = getattr(connection.connection, "transport", None) if connection.connected else None
    return transport if isinstance(transport, BufferedTransport) else None
