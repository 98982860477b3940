"""Standstill: why saga time stands, asked of a real broker (rule 17, the watchdog)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from celery_config.broker import transport
from celery_config.common.services import SERVICES
from celery_config.saga.engine import standstill
from celery_config.saga.engine.standstill import BLOCKED, BROKER, StandstillCheck
from compose.local.rabbitmq import RabbitServer
from tests.service.broker import alarmed, dead_hosts, frozen, make_app
from tests.service.together import in_background, until


@pytest.fixture
def app(rabbit: RabbitServer, tmp_path: Path) -> Iterator[Celery]:
    with make_app("order", rabbit, tmp_path) as app:
        yield app


@pytest.fixture
def check(app: Celery, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandstillCheck]:
    monkeypatch.setattr(standstill, "PROBE_SECONDS", 0.5)
    check = StandstillCheck(app)
    yield check
    check.close()


class TestABrokerWithAnAlarm:
    """It delivers, answers everything but a publish, and takes nothing."""

    def test_time_stands_until_the_alarm_is_over(self, check: StandstillCheck, rabbit: RabbitServer) -> None:
        check.workers.find_missing = list  # type: ignore[method-assign]
        assert check.find_reasons() == []
        with alarmed(rabbit):
            until(lambda: check.find_reasons() == [BLOCKED], "the alarm is seen")
            assert check.find_reasons() == [BLOCKED]
        until(lambda: check.find_reasons() == [], "the broker takes messages again")

    def test_a_service_without_a_worker_is_named(self, check: StandstillCheck) -> None:
        assert check.find_reasons() == [*SERVICES]

    def test_a_broker_that_is_gone_is_named(self, check: StandstillCheck, rabbit: RabbitServer) -> None:
        check.find_reasons()
        rabbit.kill()
        try:
            assert check.find_reasons() == [BROKER]
        finally:
            rabbit.start()
        until(lambda: check.find_reasons() == [*SERVICES], "the broker is back")

    def test_a_broker_that_hangs_is_named_in_time(
        self, check: StandstillCheck, rabbit: RabbitServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transport, "ANSWER_SECONDS", 0.5)
        monkeypatch.setattr(check.probe, "is_blocked", lambda: False)
        check.find_reasons()
        with frozen(rabbit):
            assert in_background(check.find_reasons).result(10) == [BROKER]


def test_each_host_of_several_is_asked(
    rabbit: RabbitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.5)
    with dead_hosts() as hosts, make_app("order", rabbit, tmp_path, hosts_before=hosts) as app:
        check = StandstillCheck(app)
        assert check.find_reasons() == [*SERVICES]
        check.close()
