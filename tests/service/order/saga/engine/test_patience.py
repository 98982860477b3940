"""Patience that is ended on purpose gives the row that the watchdog gives after a day."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from celery_config.saga.engine import clock, watchdog
from celery_config.saga.engine.patience import end_patience
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.models import SagaInstance
from celery_config.saga.states import Status
from tests.service.order.conftest import Placed, Shop

FAILURE = {"operation": "undo", "code": "unknown_outcome", "reason": "the provider answered 500"}
OWN = ("id", "subject", "data", "started_at", "since", "deadline_at", "answer_by", "attempt", "drives")
"""What differs between any two sagas, or counts how often one was driven on the way."""


def describe(saga: SagaInstance) -> dict[str, Any]:
    row = {f.attname: getattr(saga, f.attname) for f in saga._meta.fields if f.attname not in OWN}
    decision = saga.decisions.last()
    assert decision is not None
    kept = (decision.came, decision.status_before, decision.status_after, decision.sent)
    return {**row, "cause": {**saga.cause, "parked": ""}, "decision": kept}


def make_failing(placed: Placed, status: Status) -> None:
    placed.heard()
    placed.set(status=status.value, cause={"code": "cancelled", "step": "", "reason": "as asked"})
    placed.saga.steps.filter(name="authorize-payment").update(failure=FAILURE)


@pytest.mark.parametrize("status", [Status.STOPPING, Status.FORWARD])
def test_it_parks_as_the_watchdog_does(
    shop: Shop, pass_time: Callable[[float], None], status: Status
) -> None:
    waited, hurried = shop.order(), shop.order()
    make_failing(waited, status)
    pass_time(settings.TIMES.compensation_timeout + 60)
    watchdog.redrive_due(SAGAS, clock.now())
    make_failing(hurried, status)
    assert end_patience(SAGAS, [hurried.saga_id]) == {hurried.saga_id}
    assert describe(hurried.saga) == describe(waited.saga)
    assert hurried.saga.status == Status.PARKED
    assert hurried.saga.fingerprint.startswith(
        "the payment provider answered 500 when asked to void the payment"
    )
    assert hurried.saga.since <= clock.now()


@pytest.mark.parametrize("status", [Status.RUNNING, Status.COMPLETED, Status.COMPENSATED, Status.PARKED])
def test_it_touches_nothing_else(placed: Placed, status: Status) -> None:
    placed.set(status=status.value)
    before = SagaInstance.objects.filter(pk=placed.saga_id).values().get()
    parked = end_patience(SAGAS, [placed.saga_id])
    assert parked == ({placed.saga_id} if status is Status.PARKED else set())
    assert SagaInstance.objects.filter(pk=placed.saga_id).values().get() == before
    assert not connection.needs_rollback
