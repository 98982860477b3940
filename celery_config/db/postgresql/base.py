"""Django's PostgreSQL backend: it waits for answers up to a limit, checks a connection without a round trip, and raises
`OperationalError` for a database that takes no writes."""

from __future__ import annotations

import select
from types import SimpleNamespace
from typing import Any

import psycopg
from django.db.backends.postgresql import base, operations
from psycopg.types import numeric

BITS = {numeric.Int2: 16, numeric.Int4: 32, numeric.Int8: 64}


class LimitedConnection(psycopg.Connection[Any]):
    """A connection that gives up a server that does not answer (`db/limits.py`)."""

    answer_seconds: float | None = None
    """How long to wait for one answer; None: without limit."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """
        Raises:
            OperationalError: no answer came in time; the connection is closed.
        """
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except psycopg.errors._WaitTimeout as error:
            # Not `close`: nothing may be asked of a server that does not answer.
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"the database has not answered for {self.answer_seconds:g} s; the connection is closed"
            ) from error


class DatabaseOperations(operations.DatabaseOperations):
    """Sends every whole number as it is.

    Django takes the type of a number from the field, and for one in an expression (`F("refunded") + amount`) a type of
    32 bits; psycopg then cuts what does not fit, without an error.
    """

    def adapt_integerfield_value(self, value: Any, internal_type: str) -> Any:
        adapted = super().adapt_integerfield_value(value, internal_type)
        if not isinstance(value, int) or -(2**15) <= value < 2**15:
            return adapted
        bits = BITS.get(type(adapted), 0)
        if -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            return adapted
        return numeric.Int8(value) if -(2**63) <= value < 2**63 else numeric.IntNumeric(value)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that the server has closed has something to read: a last message, or the end of the stream."""

    ops_class = DatabaseOperations
    Database: Any = SimpleNamespace(
        **{
            **vars(psycopg),
            # Looked up at each call: tracing wraps the method of psycopg's own class.
            "connect": lambda *args, **options: LimitedConnection.connect(*args, **options),
            # A database that takes no writes is as good as away; for psycopg it is an error inside the server.
            "OperationalError": (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction),
        }
    )

    def is_usable(self) -> bool:
        """Whether the connection works; Django asks before the first statement of every request.

        Django's own check sends a statement, a tenth of the cost of accepting an order. While there is nothing to read,
        the server has not closed the connection. (No check finds a server that vanished silently: TCP's keepalives and
        the limits of each answer do.)

        A session that had an error is asked: one that became read-only stays so, even when its database takes writes
        again, and a new one may find the primary.
        """
        if self.errors_occurred:
            return self._takes_writes()
        if self.connection is not None and not self.connection.closed:
            poll = select.poll()
            poll.register(self.connection.fileno(), select.POLLIN)
            if not poll.poll(0):
                return True
        return super().is_usable()

    def _takes_writes(self) -> bool:
        try:
            (read_only,) = self.connection.execute("SHOW transaction_read_only").fetchone()
        except psycopg.Error:
            return False
        return bool(read_only == "off")
