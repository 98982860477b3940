"""Services that `up` keeps stopped while an operator works on their databases."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

import pytest

from compose.local import held


class Processes:
    def __init__(self) -> None:
        self.done: list[str] = []

    def stop_process(self, name: str) -> None:
        self.done.append(f"stop {name}")

    def restart(self, name: str) -> None:
        self.done.append(f"start {name}")


def test_a_service_is_stopped_and_started_again(tmp_path: Path) -> None:
    processes = Processes()
    holder, ended = held.Holder(tmp_path, processes), Event()

    def follow() -> None:
        while not ended.wait(0.01):
            holder.follow()

    thread = Thread(target=follow)
    thread.start()
    try:
        assert held.ask(tmp_path, ["order"], []) == {"order"}
        assert processes.done == ["stop order-web", "stop order-worker", "stop order-relay"]
        assert holder.holds("order-relay")
        assert not holder.holds("payment-relay")
        assert held.ask(tmp_path, [], ["order"]) == set()
        assert processes.done[3:] == ["start order-web", "start order-worker", "start order-relay"]
    finally:
        ended.set()
        thread.join()


def test_one_that_nobody_follows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(held.NotFollowed, match="has not done that"):
        held.ask(tmp_path, ["order"], [], seconds=0.0)


def test_a_new_up_holds_nothing(tmp_path: Path) -> None:
    held.write(tmp_path, held.WANTED, ["order"])
    processes = Processes()
    held.Holder(tmp_path, processes).follow()
    assert processes.done == []
