"""py-amqp's TCP transport with fewer system calls.

It reads each frame in three pieces, with two changes of the socket's time-out around each, and writes each message by
itself. Every one of these calls lets go of Python's lock, and the thread that has the batch in hand takes it. Here a
read takes what there is, a frame that is there already needs no time-out, and a batch of messages is one write.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from socket import MSG_DONTWAIT
from typing import Any

from amqp.exceptions import RecoverableConnectionError
from amqp.transport import TCPTransport
from kombu.transport import pyamqp

BLOCK = 32 * 1024
HELD = 256 * 1024
HEADER = 7  # of a frame: type, channel, and the size of what follows, less its one byte of end


class BufferedTransport(TCPTransport):
    """See the module."""

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
            return bytes(self.sock.recv(max(wanted, BLOCK), self.flags))
        except BlockingIOError:
            if not self.flags:
                raise
            # py-amqp would ask again and again until the rest of a frame has come.
            raise TimeoutError("nothing more has come") from None

    def having_timeout(self, timeout: float | None) -> AbstractContextManager[Any]:
        if self.has_frame():
            return nullcontext(self.sock)
        return self.not_waiting() if timeout == 0 else super().having_timeout(timeout)

    @contextmanager
    def not_waiting(self) -> Iterator[Any]:
        """Read what is there, without a change of the socket's time-out."""
        self.flags = MSG_DONTWAIT
        try:
            yield self.sock
        finally:
            self.flags = 0

    def has_frame(self) -> bool:
        there = self._read_buffer
        return len(there) > HEADER and len(there) > HEADER + int.from_bytes(there[3:HEADER], "big")

    def hold_or_send(self, data: bytes) -> None:
        if not self.holding:
            self.send(data)
            return
        self.held += data
        if len(self.held) > HELD:
            self.send_held()

    def send_held(self) -> None:
        held, self.held = self.held, bytearray()
        try:
            if held:
                self.send(held)
        except TimeoutError as error:
            # The network's word, not that of a broker which confirms nothing: py-amqp says it so of each message.
            raise RecoverableConnectionError(str(error)) from error

    @contextmanager
    def together(self) -> Iterator[None]:
        """Hold what is written, and send it at once in the end; what an error interrupts is not sent."""
        self.holding = True
        try:
            yield
            self.send_held()
        finally:
            self.holding = False
            self.held.clear()


class Connection(pyamqp.Connection):
    """A connection over it; over TLS, however that was asked for, it has py-amqp's own."""

    def Transport(self, host: str, connect_timeout: float, ssl: Any, *times: Any, **more: Any) -> Any:
        if ssl:
            return super().Transport(host, connect_timeout, ssl, *times, **more)
        read_timeout, write_timeout = times
        return BufferedTransport(
            host,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            write_timeout=write_timeout,
            **more,
        )


class Transport(pyamqp.Transport):
    """What kombu is given as the transport of `amqp://`."""

    Connection = Connection

    def on_readable(self, connection: Any, loop: Any) -> None:
        """Read one message; the consumer reads those that came with it (`has_more`) before the event loop waits.

        kombu asks the socket once more after each message, to learn that there is nothing.
        """
        if not isinstance(connection.transport, BufferedTransport):
            super().on_readable(connection, loop)
            return
        if not connection.connected:
            raise RecoverableConnectionError("the broker is disconnected")
        with suppress(TimeoutError):  # the rest is still under way
            connection.drain_events(timeout=0)


def hold_writes(connection: Any) -> AbstractContextManager[None]:
    """Let what is published meanwhile leave in one piece, where the transport can."""
    wire = of(connection)
    return wire.together() if wire else nullcontext()


def drain_one(connection: Any, seconds: float) -> bool:
    """Let one thing that the broker sends be dealt with; False if nothing comes in time.

    Args:
        connection: kombu's or py-amqp's.
        seconds: to wait, more than 0.

    Raises:
        the connection's errors: it is lost; a TimeoutError (ETIMEDOUT) is the network's word, not that of a broker
            which says nothing.
    """
    try:
        connection.drain_events(timeout=max(0.001, seconds))  # zero would mean for ever
    except TimeoutError as error:
        if error.errno is not None:
            raise
        return False
    return True


def has_more(connection: Any) -> bool:
    """Whether something that has arrived waits to be read."""
    wire = of(connection)
    return wire is not None and wire.has_frame()


def of(connection: Any) -> BufferedTransport | None:
    """The transport of a kombu connection; none, if it is lost (asking further would connect anew)."""
    wire = getattr(connection.connection, "transport", None) if connection.connected else None
    return wire if isinstance(wire, BufferedTransport) else None
