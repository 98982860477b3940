"""Batch acknowledgement: one frame acknowledges everything that a batch has done, and nothing that is still under way.

A multiple acknowledgement tells the broker that every message up to one is done. It is therefore sent only for the
longest row of messages, in the order of their delivery, of which none is still under way. A message that is done
behind a slower one is acknowledged by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from kombu.message import Message

log = structlog.get_logger(__name__)


class BatchAcknowledger:
    """Acknowledges the messages of one channel.

    Args:
        soon: runs a function in the consumer's own thread.
        errors: what is raised on a lost connection; the broker then delivers everything again.
        multiple: whether the broker knows multiple acknowledgements.
    """

    def __init__(
        self,
        soon: Callable[[Callable[[], None]], Any],
        errors: tuple[type[BaseException], ...],
        *,
        multiple: bool,
    ) -> None:
        self.soon, self.errors, self.multiple = soon, errors, multiple
        self.delivered: deque[Message] = deque()
        self.done: deque[Message] = deque()

    def note_delivery(self, message: Message) -> None:
        """Note a delivered message; called in the order of the deliveries."""
        if self.multiple:
            self.delivered.append(message)

    def acknowledge(self, message: Message) -> None:
        """Acknowledge a message soon; called from any thread."""
        self.done.append(message)
        if len(self.done) == 1:
            self.soon(self.flush)

    def flush(self) -> None:
        """Acknowledge all that is done, in the consumer's thread."""
        done: dict[int, Message] = {}
        while self.done:
            message = self.done.popleft()
            done[message.delivery_tag] = message
        last = None
        while self.delivered and (self.delivered[0].acknowledged or self.delivered[0].delivery_tag in done):
            last = done.pop(self.delivered.popleft().delivery_tag, last)
        if last is not None:
            last.ack_log_error(log, self.errors, multiple=True)
        for message in done.values():
            message.ack_log_error(log, self.errors)
