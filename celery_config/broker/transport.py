"""Buffered AMQP transport: py-amqp's TCP transport with fewer system calls.

py-amqp reads each frame in three pieces, with two changes of the socket's time-out around each, and writes each message
by itself. Each of these calls releases Python's lock, and the thread that runs the batch takes it. Here a read takes
what has arrived, a frame that is in the buffer needs no time-out, and a batch of messages is one write.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from socket import MSG_DONTWAIT
from typing import Any

from amqp import serialization, spec
from amqp.exceptions import RecoverableConnectionError
from amqp.transport import TCPTransport
from kombu.transport import TRANSPORT_ALIASES, pyamqp

from celery_config.broker.properties import mend_routing_key, read_properties

READ_BYTES = 32 * 1024
MAX_HELD_BYTES = 256 * 1024
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


class Connection(pyamqp.Connection):
    """A connection over this transport; over TLS, however it was requested, over py-amqp's own."""

    def Transport(self, host: str, connect_timeout: float, ssl: Any, *times: Any, **more: Any) -> Any:
        if ssl:
            return super().Transport(host, connect_timeout, ssl, *times, **more)
        return BufferedTransport(host, connect_timeout, *times, **more)

    def on_inbound_method(self, channel_id: int, method: Any, arguments: bytes, content: Any) -> Any:
        if method == spec.Basic.Deliver:
            arguments = mend_routing_key(arguments)
        return super().on_inbound_method(channel_id, method, arguments, content)


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
