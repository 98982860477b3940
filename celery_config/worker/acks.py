"""Acknowledges what a batch has done with one frame, instead of one for each message.

A multiple acknowledgement tells the broker that everything up to a message is settled. It is therefore only sent for
the longest row of messages, in the order in which they were delivered, of which none is still under way; whatever is
done beyond a message that takes longer is acknowledged by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from kombu.message import Message

log = structlog.get_logger(__name__)


class BatchAcknowledger:
    """Of the messages of one channel.

    Args:
        soon: runs a function in the consumer's own thread.
        errors: what is raised on a lost connection; the broker gives everything out again then.
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

    def received(self, message: Message) -> None:
        """Note that a message was delivered; called in the order of the deliveries."""
        if self.multiple:
            self.delivered.append(message)

    def acknowledge(self, message: Message) -> None:
        """Acknowledge a message before long; called from any thread."""
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
