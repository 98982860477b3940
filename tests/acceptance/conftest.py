"""One real system for all acceptance tests of a run: every process, PostgreSQL and RabbitMQ, private to it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from compose.local.environment import without_servers
from compose.local.stack import Stack
from tests.acceptance.shop import Shop, assert_clean

# A watchdog's silence of 3.6 s, a deadline of 27 s, retries within 2 s.
TIME_SCALE = "0.03"


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
