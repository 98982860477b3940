"""Services that `up` keeps stopped while an operator works on their databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from compose.local import held

SERVICE = ["order-web", "order-worker", "order-relay", "order-notifier"]


class Processes:
    def __init__(self) -> None:
        self.held: list[str] = []

    def hold(self, name: str) -> None:
        self.held.append(name)

    def release(self, name: str) -> None:
        self.held.remove(name)


@pytest.fixture
def processes() -> Processes:
    return Processes()


@pytest.fixture
def started() -> list[str]:
    return []


@pytest.fixture
def holder(tmp_path: Path, processes: Processes, started: list[str]) -> Iterator[held.Holder]:
    """It follows what is asked for."""
    holder, ended = held.Holder(tmp_path, processes, started.append), Event()

    def follow() -> None:
        while not ended.wait(0.01):
            holder.follow()

    thread = Thread(target=follow)
    thread.start()
    yield holder
    ended.set()
    thread.join()


def test_a_service_is_stopped_and_started_again(
    tmp_path: Path, processes: Processes, holder: held.Holder, started: list[str]
) -> None:
    assert held.ask(tmp_path, ["order"], []) == {"order"}
    assert processes.held == SERVICE
    assert holder.holds("order-relay")
    assert not holder.holds("payment-relay")
    with pytest.raises(held.NotFollowed):  # none of them is ready
        held.ask(tmp_path, [], ["order"], seconds=0.5)
    assert (processes.held, started, held.read(tmp_path)) == ([], SERVICE, set())
    for name in SERVICE:
        holder.note_start(name)
    assert held.ask(tmp_path, [], ["order"]) == set()


def test_one_that_did_not_start_is_stopped_again(
    tmp_path: Path, processes: Processes, holder: held.Holder
) -> None:
    """It counted as held from the first time on, and what had started of it went on."""
    held.ask(tmp_path, ["order"], [])
    with pytest.raises(held.NotFollowed):
        held.ask(tmp_path, [], ["order"], seconds=0.5)
    assert held.ask(tmp_path, ["order"], []) == {"order"}
    assert processes.held == SERVICE


def test_one_that_nobody_follows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(held.NotFollowed, match="has not done that"):
        held.ask(tmp_path, ["order"], [], seconds=0.0)


def test_a_new_up_holds_nothing(tmp_path: Path, processes: Processes) -> None:
    held.write(tmp_path, held.WANTED, ["order"])
    held.Holder(tmp_path, processes, lambda _: None).follow()
    assert processes.held == []
