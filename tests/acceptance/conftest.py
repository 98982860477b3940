"""One real system for all acceptance tests of a run: every process, PostgreSQL and RabbitMQ, private to it."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from compose.local.environment import ROOT, without_servers
from compose.local.stack import Stack
from tests.acceptance.intruder import Intrude, Intruder
from tests.acceptance.process_errors import measure_logs, read_errors
from tests.acceptance.shop import Shop, assert_clean
from tests.attempts import Recorder
from tests.drawing import read_durations

# A watchdog's silence of 3.6 s, a deadline of 27 s, retries within 2 s.
TIME_SCALE = "0.03"
FOLDER = pytest.StashKey[Path]()
"""Under it all processes of the run log."""
SIZES = pytest.StashKey[dict[Path, int]]()
"""Of a test: how long each log was when it began."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: one that is begun last keeps one worker busy while the other has nothing to do."""
    durations = read_durations()
    items.sort(key=lambda item: -durations.get(item.path.relative_to(ROOT).as_posix(), 0.0))


@pytest.fixture(scope="session", autouse=True)
def log_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = request.config.stash[FOLDER] = tmp_path_factory.getbasetemp()
    return folder


@pytest.fixture(autouse=True)
def _log_sizes(request: pytest.FixtureRequest, log_folder: Path) -> None:
    request.node.stash[SIZES] = measure_logs(log_folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the report of a failed test show what the processes have logged as errors since it began."""
    report = yield
    folder = item.config.stash.get(FOLDER, None)
    # Without sizes the stack itself did not start: everything that was logged may be the reason.
    if report.failed and folder and (errors := read_errors(folder, item.stash.get(SIZES, {}))):
        report.sections.append(("errors of processes since the test began", errors))
    return report


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # Servers that the environment names are not ours to kill.
    environ = without_servers(os.environ)
    var = tmp_path_factory.mktemp("stack")
    stack = Stack(
        "servers", var=var, settings={"SAGA_TIME_SCALE": TIME_SCALE}, environ=environ, with_flower=True
    )
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        stack.delete_data()


@pytest.fixture(scope="session")
def open_shop(stack: Stack) -> Iterator[Shop]:
    shop = Shop(stack)
    yield shop
    # Once as everybody calls it.
    assert_clean(shop.command_with({}, "order", "audit"))
    shop.close()


@pytest.fixture(scope="module")
def audited(open_shop: Shop) -> Iterator[None]:
    """Whatever the tests of a file do, the audit is clean afterwards."""
    yield
    open_shop.audit()


@pytest.fixture
def shop(open_shop: Shop, audited: None) -> Iterator[Shop]:
    """The shop; no process has died unasked."""
    yield open_shop
    died = []
    while not open_shop.stack.supervisor.deaths.empty():
        died.append(str(open_shop.stack.supervisor.deaths.get_nowait()))
    assert not died, "\n".join(died)


@pytest.fixture
def intrude(shop: Shop, record_property: Recorder) -> Intrude:
    """Take a service's credentials."""
    return lambda service: Intruder(shop, service, record_property)
