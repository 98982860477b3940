"""Django's PostgreSQL backend with a connection check that needs no round trip."""

from __future__ import annotations

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that the server has closed has something to read: a last message, or the end of the stream."""

    def is_usable(self) -> bool:
        """Whether the connection works; Django asks before the first statement of every request.

        Django's own check sends a statement, a tenth of the cost of accepting an order. While there is nothing to read,
        the server has not closed the connection. (No check finds a server that vanished silently.)
        """
        if self.connection is not None and not self.connection.closed:
            poll = select.poll()
            poll.register(self.connection.fileno(), select.POLLIN)
            if not poll.poll(0):
                return True
        return super().is_usable()
