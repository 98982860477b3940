"""One item that fails harms only itself."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from celery_config.common.isolation import run_isolated


class Runner:
    """Handles numbers, all or none; some of them fail."""

    def __init__(self, *failing: int) -> None:
        self.failing = {*failing}
        self.handled: list[int] = []
        self.aside: list[tuple[int, str]] = []
        self.runs = 0

    def run(self, numbers: Sequence[int]) -> int:
        self.runs += 1
        if failing := self.failing & {*numbers}:
            raise ValueError(f"{min(failing)} fails")
        self.handled += numbers
        return len(numbers)

    def __call__(self, count: int) -> int:
        return run_isolated(
            range(count),
            self.run,
            lambda number, error: self.aside.append((number, str(error))),
            passed_on=(ConnectionError,),
        )


def test_all_together_when_none_fails() -> None:
    runner = Runner()
    assert (runner(100), runner.runs) == (100, 1)


@pytest.mark.parametrize("failing", [(0,), (99,), (3, 4, 77)])
def test_those_that_fail_are_set_aside_and_all_others_are_handled(failing: tuple[int, ...]) -> None:
    runner = Runner(*failing)
    assert runner(100) == 100 - len(failing)
    assert sorted(runner.handled) == [n for n in range(100) if n not in failing]
    assert runner.aside == [(n, f"{n} fails") for n in failing]
    assert runner.runs <= 1 + 2 * 7 * len(failing)


def test_one_that_cannot_even_be_set_aside_holds_up_no_other() -> None:
    runner = Runner(1)

    def fail(number: int, error: Exception) -> None:
        raise KeyError(number) from error

    assert run_isolated(range(4), runner.run, fail, passed_on=(ConnectionError,)) == 3
    assert runner.handled == [0, 2, 3]


def test_a_server_that_is_away_is_no_items_fault() -> None:
    def fail(_: Sequence[int]) -> int:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        run_isolated(range(4), fail, lambda *_: pytest.fail("set aside"), passed_on=(ConnectionError,))


def test_nothing_to_do() -> None:
    assert Runner()(0) == 0
