"""Django's PostgreSQL backend, which knows without asking that a connection still stands."""

from __future__ import annotations

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that the server closed has something to be read: its farewell, or the end of the stream."""

    def is_usable(self) -> bool:
        """Whether the connection works; asked before the first statement of every request.

        Django sends a statement each time, a tenth of what accepting an order costs. Where nothing waits to be read
        nobody has hung up. (A server that vanished without a word answers neither.)
        """
        if self.connection is not None and not self.connection.closed:
            with_news = select.poll()
            with_news.register(self.connection.fileno(), select.POLLIN)
            if not with_news.poll(0):
                return True
        return super().is_usable()
