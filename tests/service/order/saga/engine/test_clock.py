"""Saga time (rule 17, the watchdog): orders are not compensated because we were down."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models import F

from celery_config.db.functions import Now
from celery_config.saga.engine import clock
from celery_config.saga.models import SagaClock
from tests.service.together import concurrent, together

pytestmark = pytest.mark.django_db


def last_tick_was(seconds: float) -> datetime:
    """Put the last tick so many seconds back; return the saga time of then."""
    clock.start()
    SagaClock.objects.update(ticked_at=Now() - timedelta(seconds=seconds))
    return clock.now()


def test_it_starts_by_itself_and_once() -> None:
    first = clock.now()
    assert clock.start() == clock.now() == first
    assert SagaClock.objects.count() == 1


def test_between_ticks_it_stands() -> None:
    assert clock.now() == clock.now()


def test_a_tick_advances_it_by_what_has_passed() -> None:
    before = last_tick_was(2)
    assert clock.tick() == clock.now()
    assert 1.9 < (clock.now() - before).total_seconds() < 3


def test_a_tick_advances_it_by_five_seconds_at_most() -> None:
    """Rule 17: a night without a relay is five seconds to the sagas."""
    before = last_tick_was(12 * 3600)
    clock.tick()
    assert (clock.now() - before).total_seconds() == settings.TIMES.clock_step == 5


def test_while_somebody_is_down_it_stands_and_the_time_is_not_made_up_for() -> None:
    """Rule 17."""
    before = last_tick_was(4)
    assert clock.tick("broker") == before
    clock.tick()
    assert (clock.now() - before).total_seconds() < 1


def test_it_says_since_when_it_stands_and_why() -> None:
    last_tick_was(4)
    clock.tick("payment")
    since = SagaClock.objects.get().stands_since
    assert since is not None
    clock.tick("broker takes no messages")
    stands = SagaClock.objects.get()
    assert (stands.stands_since, stands.stands_for) == (since, "broker takes no messages")
    clock.tick()
    runs = SagaClock.objects.get()
    assert (runs.stands_since, runs.stands_for) == (None, "")


def test_it_never_goes_back() -> None:
    """The database's clock may be set back."""
    before = last_tick_was(0)
    SagaClock.objects.update(ticked_at=F("ticked_at") + timedelta(hours=1))
    assert clock.tick() == before


@concurrent
class TestManyRelays:
    def test_time_does_not_run_faster(self) -> None:
        before = last_tick_was(3)
        together(*[lambda: clock.tick()] * 5)
        assert 2.9 < (clock.now() - before).total_seconds() < 4.5

    def test_the_first_tick_of_all(self) -> None:
        SagaClock.objects.all().delete()
        ticks: list[Any] = together(*[lambda: clock.tick()] * 5)
        assert all(isinstance(tick, datetime) for tick in ticks)
        assert SagaClock.objects.count() == 1
