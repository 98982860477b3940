"""Calls to the provider: so many a second over all workers, fewer after its 429, and none before `Retry-After`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from celery_config.errors import CalledTooOften, ServiceUnavailable
from celery_config.messaging.flow_control import gate as gates
from celery_config.messaging.flow_control.gate import CallGate, get_gate, read_rate
from celery_config.messaging.models import CallPace, OutboxMessage
from payment_app.gateways import SandboxGateway, gateway
from tests.service.conftest import Participant
from tests.service.payment.shop import Shop
from tests.service.payment.test_choreography import Buyer
from tests.service.together import concurrent
from tests.unit.compose.sandbox.sandbox_process import SandboxProcess

LIMIT = 20
Make = Callable[..., CallGate]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes the gates of workers; each is a process of its own in real life."""
    made: list[CallGate] = []

    def make(limit: float = 0.0, at_once: int = 0) -> CallGate:
        made.append(CallGate(limit, at_once))
        return made[-1]

    yield make
    for each in made:
        each.turns.submit(lambda: connection.close()).result()
        each.turns.shutdown()


@pytest.fixture
def limited(sandbox: SandboxProcess) -> Iterator[SandboxProcess]:
    yield sandbox
    sandbox.call("DELETE", "/control/limit")


def refuse(wait: float) -> Callable[[], None]:
    def call() -> None:
        raise CalledTooOften("429", wait=wait)

    return call


@pytest.mark.django_db
def test_without_a_limit_a_call_costs_no_statement(make: Make) -> None:
    gate = make()
    with CaptureQueriesContext(connection) as asked:
        assert gate.call(lambda: "done") == "done"
    assert not asked.captured_queries
    assert not gate.turns._threads


@concurrent
def test_two_workers_stay_within_the_limit_of_the_provider(make: Make, limited: SandboxProcess) -> None:
    """The sandbox answers 429 to each call above its limit: nobody gets one."""
    limited.call("POST", "/control/limit", {"per_second": LIMIT})
    provider = SandboxGateway(limited.url)
    workers = [make(LIMIT - 2), make(LIMIT - 2)]
    before = limited.calls("answered 429")

    def authorize(number: int) -> str:
        call = {"key": uuid4(), "order": uuid4(), "amount": 100, "currency": "EUR", "token": "tok_approved"}
        made = workers[number % 2].call(lambda: provider.authorize(**call))  # type: ignore[arg-type]
        return made.provider_id

    began = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(authorize, range(2 * LIMIT)))) == 2 * LIMIT
    assert time.monotonic() - began >= (2 * LIMIT - 1) / (LIMIT - 2) * 0.95
    assert limited.calls("answered 429") == before


@concurrent
def test_a_429_lowers_the_pace_of_both_workers(make: Make, limited: SandboxProcess) -> None:
    limited.call("POST", "/control/limit", {"per_second": 1, "retry_after": 1})
    provider = SandboxGateway(limited.url)
    first, second = make(LIMIT), make(LIMIT)
    first.call(lambda: list(provider.find_entries(uuid4())))
    with pytest.raises(CalledTooOften) as told:
        first.call(lambda: list(provider.find_entries(uuid4())))
    assert told.value.wait == 1
    began = time.monotonic()
    second.call(lambda: list(provider.find_entries(uuid4())))
    assert time.monotonic() - began > 0.7
    assert LIMIT / 2 <= read_rate_with(LIMIT) < LIMIT * 0.6


def read_rate_with(limit: float) -> float:
    from django.conf import settings
    from django.test import override_settings

    with override_settings(PROVIDER_CALLS_PER_SECOND=limit):
        assert limit == settings.PROVIDER_CALLS_PER_SECOND
        return read_rate()


@concurrent
def test_what_is_called_too_often_waits_as_long_as_the_provider_says(make: Make) -> None:
    gate = make()
    with pytest.raises(CalledTooOften):
        gate.call(refuse(30))
    with pytest.raises(ServiceUnavailable, match="its turn to call comes in") as later:
        gate.call(lambda: "done")
    assert 28 < later.value.wait <= 30


@concurrent
def test_a_provider_cannot_put_a_message_off_for_years(make: Make) -> None:
    """What it says is capped for the pace, and for the message whose call it refused."""
    gate = make()
    with pytest.raises(CalledTooOften) as told:
        gate.call(refuse(999_999_999))
    assert told.value.wait == gates.LONGEST_RETRY_AFTER


@concurrent
def test_a_worker_that_has_recovered_costs_nothing_again(make: Make) -> None:
    gate = make()
    with pytest.raises(CalledTooOften):
        gate.call(refuse(0))
    assert gate.is_lowered
    CallPace.objects.update(lowered_at=0.0)
    gate.call(lambda: "done")
    assert not gate.is_lowered


@concurrent
def test_a_step_that_is_called_too_often_waits_and_that_is_no_try(
    make: Make, shop: Shop, participant: Participant, limited: SandboxProcess
) -> None:
    limited.call("POST", "/control/limit", {"per_second": 1, "retry_after": 60})
    list(gateway().find_entries(uuid4()))
    assert Buyer(shop, participant).placed() == ["StepTried"]
    row = OutboxMessage.objects.get(kind="task")
    assert 50 < (row.due_at - row.created_at).total_seconds() <= 61
    assert row.payload["options"]["retries"] == 0
    get_gate().turns.submit(lambda: connection.close()).result()


@concurrent
def test_so_many_run_side_by_side(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "LONGEST_WAIT", 0.05)
    gate, begun, end = make(at_once=1), threading.Event(), threading.Event()

    def call() -> Any:
        begun.set()
        return end.wait(10)

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(gate.call, call)
        assert begun.wait(10)
        with pytest.raises(ServiceUnavailable, match="as many calls as may run side by side"):
            gate.call(lambda: None)
        end.set()
        assert first.result() is True
    assert gate.call(lambda: "done") == "done"
