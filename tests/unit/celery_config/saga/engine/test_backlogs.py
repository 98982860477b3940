"""Whether a message may still wait in a queue, from its lengths alone (rule 17, the watchdog)."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from celery_config.saga.engine.backlogs import Backlogs

START = datetime(2026, 1, 1)
QUEUE = "payment.commands"


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


class Seen:
    """What is known after a look a second, from the first second on."""

    def __init__(self, *lengths: int, in_hand: float = 0) -> None:
        self.backlogs, self.now = Backlogs(timedelta(seconds=in_hand)), at(0)
        for second, length in enumerate(lengths, 1):
            self.now = at(second)
            self.backlogs.note({QUEUE: length}, self.now)

    def holds(self, sent: float) -> bool:
        return self.backlogs.may_hold(QUEUE, at(sent), self.now)


def test_nothing_waits_in_a_queue_that_is_empty_or_that_nobody_looked_at() -> None:
    assert not Seen().holds(0)
    assert not Seen().backlogs.exist(at(0))
    assert not Seen(5, 0).holds(2)
    assert not Seen(5, 0, 0).backlogs.exist(at(3))
    assert Seen(5, 1).backlogs.exist(at(2))


def test_it_waits_until_as_many_have_left_as_were_before_it() -> None:
    assert Seen(100).holds(1)
    assert Seen(100, 60, 1).holds(1)
    assert not Seen(100, 60, 50, 60, 10).holds(1)
    assert Seen(100, 60, 50, 70, 40).holds(1)


def test_what_came_later_waits_longer() -> None:
    seen = Seen(100, 40, 90, 30)
    assert not seen.holds(2)
    assert seen.holds(3)


def test_what_has_just_left_is_in_a_workers_hands() -> None:
    assert Seen(100, 0, in_hand=3).holds(1)
    assert Seen(100, 0, 0, 0, in_hand=3).holds(1)
    assert not Seen(100, 0, 0, 0, 0, in_hand=3).holds(1)
    # Others wait behind it.
    assert Seen(100, 20, 10, 90, in_hand=3).holds(1)
    assert not Seen(100, 120, 10, 90, 80, 85, in_hand=3).holds(1)


def test_what_was_there_before_the_first_look_counts_from_then_on() -> None:
    """A relay that was restarted knows nothing of the time before."""
    assert Seen(100, 90).holds(-1000)


def test_a_queue_that_only_grows_holds_everything() -> None:
    assert Seen(*range(10, 500)).holds(-1)


def test_little_is_kept_of_a_queue_that_moves() -> None:
    seen = Seen(*(second % 7 for second in range(5000)), in_hand=10)
    backlog = seen.backlogs.queues[QUEUE]
    assert len(backlog.left) + len(backlog.marks) < 30


def test_no_message_that_waits_ever_counts_as_gone() -> None:
    """Whatever comes and goes unseen between two looks."""
    chance = random.Random(1)
    for in_hand in (0, 3):
        for _ in range(100):
            backlogs, queue = Backlogs(timedelta(seconds=in_hand)), list[datetime]()
            for second in range(60):
                for _ in range(chance.randrange(20)):
                    queue.append(at(second - chance.random()))
                queue.sort()
                del queue[: chance.randrange(25)]
                backlogs.note({QUEUE: len(queue)}, at(second))
                assert all(backlogs.may_hold(QUEUE, sent, at(second)) for sent in queue)
