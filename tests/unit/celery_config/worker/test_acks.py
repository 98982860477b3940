"""One frame acknowledges much, and never what is still under way (rule 6, outcomes)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from celery_config.worker.acks import BatchAcknowledger


class Letter:
    """A message, and what the broker hears of it."""

    def __init__(self, delivery_tag: int, heard: list[str]) -> None:
        self.delivery_tag, self.heard, self.acknowledged = delivery_tag, heard, False

    def ack_log_error(self, log: Any, errors: Any, *, multiple: bool = False) -> None:
        self.acknowledged = True
        self.heard.append(f"{'up to ' if multiple else ''}{self.delivery_tag}")

    def reject(self) -> None:
        self.acknowledged = True


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def soon() -> list[Callable[[], None]]:
    return []


def delivered(
    heard: list[str], soon: list[Any], count: int, *, multiple: bool = True
) -> tuple[BatchAcknowledger, list[Any]]:
    acks = BatchAcknowledger(soon.append, (), multiple=multiple)
    letters = [Letter(number, heard) for number in range(1, count + 1)]
    for letter in letters:
        acks.note_delivery(letter)  # type: ignore[arg-type]
    return acks, letters


def done(acks: BatchAcknowledger, letters: Sequence[Any]) -> None:
    for letter in letters:
        acks.acknowledge(letter)


def test_a_batch_is_one_frame(heard: list[str], soon: list[Any]) -> None:
    acks, letters = delivered(heard, soon, 5)
    done(acks, [letters[n] for n in (2, 0, 1, 3)])
    assert heard == []
    (flush,) = soon
    flush()
    assert heard == ["up to 4"]


def test_nothing_is_settled_that_is_still_under_way(heard: list[str], soon: list[Any]) -> None:
    acks, letters = delivered(heard, soon, 5)
    done(acks, [letters[n] for n in (0, 2, 3)])
    soon.pop()()
    assert heard == ["up to 1", "3", "4"]
    done(acks, [letters[1]])
    soon.pop()()
    assert heard == ["up to 1", "3", "4", "up to 2"]
    done(acks, [letters[4]])
    soon.pop()()
    assert heard[-1] == "up to 5"


def test_what_was_rejected_in_between_is_settled_already(heard: list[str], soon: list[Any]) -> None:
    acks, letters = delivered(heard, soon, 3)
    letters[1].reject()
    done(acks, [letters[2], letters[0]])
    soon.pop()()
    assert heard == ["up to 3"]


def test_a_rejected_one_is_never_acknowledged(heard: list[str], soon: list[Any]) -> None:
    acks, letters = delivered(heard, soon, 2)
    letters[0].reject()
    letters[1].reject()
    acks.flush()
    assert heard == []


def test_a_broker_that_knows_no_multiple_ones_hears_of_each(heard: list[str], soon: list[Any]) -> None:
    acks, letters = delivered(heard, soon, 3, multiple=False)
    done(acks, letters)
    soon.pop()()
    assert sorted(heard) == ["1", "2", "3"]
