"""py-amqp's transport with fewer system calls: nothing is lost, left lying, or sent in halves."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from amqp.exceptions import RecoverableConnectionError
from amqp.transport import SSLTransport

from celery_config.broker import transport
from celery_config.broker.transport import BufferedTransport
from celery_config.worker.consumer import SagaConsumer


def frame(payload: bytes, channel: int = 1) -> bytes:
    return struct.pack(">BHI", 1, channel, len(payload)) + payload + b"\xce"


class Ends:
    """A transport of ours, and the broker's end of its socket."""

    def __init__(self) -> None:
        mine, self.broker = socket.socketpair()
        self.transport = BufferedTransport("localhost:5672", connect_timeout=1)
        self.transport.sock, self.transport.connected = mine, True
        self.transport._setup_transport()
        self.broker.settimeout(0.2)

    def close(self) -> None:
        self.transport.sock.close()
        self.broker.close()

    def received(self) -> bytes:
        try:
            return self.broker.recv(1_000_000)
        except TimeoutError:
            return b""


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


class TestReading:
    def test_what_came_in_one_piece_is_read_with_one_call(self, ends: Ends) -> None:
        ends.broker.sendall(frame(b"one") + frame(b"two"))
        assert not ends.transport.has_frame()
        assert ends.transport.read_frame()[2] == b"one"
        assert ends.transport.has_frame()
        ends.transport.sock.close()  # no further call is needed
        assert ends.transport.read_frame()[2] == b"two"
        assert not ends.transport.has_frame()

    @pytest.mark.parametrize("cut", [1, 7, 9, 10])
    def test_half_a_frame_is_none_and_its_rest_completes_it(self, ends: Ends, cut: int) -> None:
        whole = frame(b"abc")
        ends.broker.sendall(frame(b"first") + whole[:cut])
        ends.transport.read_frame()
        assert not ends.transport.has_frame()
        with pytest.raises(TimeoutError), ends.transport.having_timeout(0.01):
            ends.transport.read_frame()
        ends.broker.sendall(whole[cut:])
        with ends.transport.having_timeout(1):
            assert ends.transport.read_frame()[2] == b"abc"

    @pytest.mark.parametrize("cut", [0, 1, 7, 9, 10])
    def test_who_does_not_want_to_wait_does_not_and_loses_nothing(self, ends: Ends, cut: int) -> None:
        whole = frame(b"abc")
        ends.broker.sendall(whole[:cut])
        for _ in range(2):
            with pytest.raises(TimeoutError), ends.transport.having_timeout(0):
                ends.transport.read_frame()
        ends.broker.sendall(whole[cut:])
        with ends.transport.having_timeout(0):
            assert ends.transport.read_frame()[2] == b"abc"
        assert ends.transport.sock.gettimeout() is None

    def test_a_frame_larger_than_a_block_is_read_whole(self, ends: Ends) -> None:
        payload = bytes(range(256)) * 500
        ends.broker.sendall(frame(payload))
        assert ends.transport.read_frame()[2] == payload


class TestWriting:
    def test_what_is_written_together_leaves_at_once_in_the_end(self, ends: Ends) -> None:
        with ends.transport.hold_writes():
            ends.transport.write(b"one")
            ends.transport.write(b"two")
            assert ends.received() == b""
        assert ends.received() == b"onetwo"
        ends.transport.write(b"alone")
        assert ends.received() == b"alone"

    def test_what_an_error_interrupts_is_not_sent_later(self, ends: Ends) -> None:
        def write_half() -> None:
            with ends.transport.hold_writes():
                ends.transport.write(b"half")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            write_half()
        ends.transport.write(b"next")
        assert ends.received() == b"next"

    def test_much_is_sent_before_the_end(self, ends: Ends) -> None:
        ends.transport.send = (sent := []).append  # type: ignore[assignment]
        with ends.transport.hold_writes():
            ends.transport.write(b"x" * (transport.MAX_HELD_BYTES + 1))
            assert [len(each) for each in sent] == [transport.MAX_HELD_BYTES + 1]

    def test_a_network_that_is_gone_is_a_lost_connection(self, ends: Ends) -> None:
        """No time-out of ours, which would mean that a broker is there and confirms nothing."""

        def gone(data: bytes) -> None:
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

        ends.transport.send = gone  # type: ignore[assignment]

        def write_together() -> None:
            with ends.transport.hold_writes():
                ends.transport.write(b"x")

        with pytest.raises(RecoverableConnectionError):
            write_together()


def test_over_tls_it_is_not_ours() -> None:
    """However TLS was asked for: a plain socket instead would show the password to everybody."""
    made = transport.Connection("localhost:5671", ssl={"server_hostname": "localhost"})
    over_tls = made.Transport("localhost:5671", 1, made.ssl, None, None, socket_settings=None)
    assert isinstance(over_tls, SSLTransport)


class TestBeforeTheLoopWaits:
    """kombu's event loop waits for the socket, which knows nothing of what was read from it already."""

    def consumer(self, ends: Ends) -> Any:
        consumer = SagaConsumer.__new__(SagaConsumer)
        told: list[bytes] = []
        read: list[bytes] = []

        def drain_events(timeout: float) -> None:
            with ends.transport.having_timeout(timeout):
                read.append(ends.transport.read_frame()[2])
            consumer.has_new = True

        raw = SimpleNamespace(transport=ends.transport)
        consumer.connection = SimpleNamespace(connection=raw, connected=True, drain_events=drain_events)
        consumer.runner = SimpleNamespace(wake=lambda: told.append(b",".join(read)))
        consumer.told = told
        return consumer

    def test_the_loop_reads_one_message_and_does_not_look_for_another(self, ends: Ends) -> None:
        drained: list[float] = []
        connection = SimpleNamespace(
            transport=ends.transport, connected=True, drain_events=lambda timeout: drained.append(timeout)
        )
        transport.Transport(SimpleNamespace()).on_readable(connection, SimpleNamespace())
        assert drained == [0]
        connection.connected = False
        with pytest.raises(RecoverableConnectionError):
            transport.Transport(SimpleNamespace()).on_readable(connection, SimpleNamespace())

    def test_what_has_come_is_read_and_the_runner_told_once(self, ends: Ends) -> None:
        consumer = self.consumer(ends)
        ends.broker.sendall(frame(b"1") + frame(b"2") + frame(b"3") + frame(b"4")[:8])
        consumer.connection.drain_events(1)
        consumer.read_buffered()
        assert consumer.told == [b"1,2,3"]
        consumer.read_buffered()
        assert consumer.told == [b"1,2,3"]

    def test_a_lost_connection_is_not_asked(self) -> None:
        assert transport.get_buffered(SimpleNamespace(connection=None, connected=False)) is None
