"""Backlogs: whether a message that was sent to a queue may still wait there (rule 17, the watchdog). Pure.

All that is known of a queue are its lengths, look by look. A queue is first in, first out: once as many messages have
left it as had come by some moment, all that had come by then have left. Between two looks messages come and leave
unseen, in equal numbers, so a message may count as waiting for longer than it does, never shorter. It also counts as
waiting for some time after it left, in which its worker has it in hand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass
class Backlog:
    """One queue, since the first look."""

    came: int = 0
    went: int = 0
    marks: deque[tuple[int, datetime]] = field(default_factory=deque)
    """How many had come by which moment; of equal numbers the last moment."""
    left: deque[tuple[datetime, datetime]] = field(default_factory=deque)
    """At which look all that had come by which moment had left; the first entry may be old."""
    filled_at: datetime = datetime.min
    """When messages were last seen to wait."""

    def note(self, length: int, now: datetime) -> None:
        change = length - (self.came - self.went)
        if change > 0:
            self.came += change
        else:
            self.went -= change
        if length or change:
            self.filled_at = now
        if self.marks and self.marks[-1][0] == self.came:
            self.marks.pop()
        self.marks.append((self.came, now))
        while self.marks and self.marks[0][0] <= self.went:
            self.left.append((now, self.marks.popleft()[1]))

    def forget(self, before: datetime) -> None:
        """Keep the last entry before that moment, and those after it."""
        while len(self.left) > 1 and self.left[1][0] <= before:
            self.left.popleft()

    def may_hold(self, since: datetime, left_by: datetime) -> bool:
        if self.filled_at < left_by:
            return False
        gone = [moment for look, moment in self.left if look <= left_by]
        return not gone or gone[-1] < since


class Backlogs:
    """What is known of the queues; of a queue that was never looked at: that nothing waits.

    Args:
        in_hand: how long a worker may have a message in hand.
    """

    def __init__(self, in_hand: timedelta = timedelta(0)) -> None:
        self.in_hand = in_hand
        self.queues: dict[str, Backlog] = {}

    def note(self, lengths: Mapping[str, int], now: datetime) -> None:
        """
        Args:
            lengths: the messages that no worker has taken yet, by queue.
            now: the present saga time.
        """
        for queue, length in lengths.items():
            backlog = self.queues.setdefault(
                queue, Backlog(filled_at=datetime.min.replace(tzinfo=now.tzinfo))
            )
            backlog.note(length, now)
            backlog.forget(now - self.in_hand)

    def exist(self, now: datetime) -> bool:
        return any(backlog.filled_at >= now - self.in_hand for backlog in self.queues.values())

    def may_hold(self, queue: str, since: datetime, now: datetime) -> bool:
        """Whether a message that was sent by `since` (saga time) may still wait in the queue, or be in hand."""
        backlog = self.queues.get(queue)
        return backlog is not None and backlog.may_hold(since, now - self.in_hand)
