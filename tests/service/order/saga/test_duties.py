"""The orchestrator's relay runs a duty that needs rows only when they are there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone

from celery_config.messaging.holds.reading import hold_duties
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.outbox.relay import ask_for_rows
from celery_config.saga.batches.models import Batch
from celery_config.saga.duties import saga_duties
from celery_config.saga.engine import clock
from celery_config.saga.holds.models import Hold
from celery_config.saga.models import DeadLetter, LetterAct, SagaInstance
from order_project.domain import Flow
from order_project.models import Choreography
from tests.service.order.conftest import Shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def find_busy() -> Callable[[], set[str]]:
    """The names of the duties whose rows are there."""
    statements = {duty.name: duty.needs() for duty in [*saga_duties(), *hold_duties()] if duty.needs}
    return lambda: {name for name, is_there in ask_for_rows(statements).items() if is_there}


def test_an_idle_shop_needs_none(shop: Shop, find_busy: Callable[[], set[str]]) -> None:
    clock.start()
    shop.order()
    assert find_busy() == set()


def test_each_is_needed_by_its_rows(shop: Shop, find_busy: Callable[[], set[str]]) -> None:
    clock.start()
    Batch.objects.create(kind="k", verb="retry", why="a test", one_first=False)
    assert find_busy() == {"batches"}
    letter = DeadLetter.objects.create(queue="payment", reason="rejected", act=LetterAct.SEND, body="")
    assert find_busy() == {"batches", "outcomes of letters"}
    letter.delete()
    saga = SagaInstance.objects.get(pk=shop.order().saga.pk)
    OutboxMessage.objects.filter(saga=saga.pk).update(hold=1)
    assert find_busy() == {"batches", "release of held messages"}


def test_what_is_marked_as_held_is_unmarked(shop: Shop, find_busy: Callable[[], set[str]]) -> None:
    SagaInstance.objects.filter(pk=shop.order().saga.pk).update(held_since=timezone.now())
    assert not Hold.objects.exists()
    assert find_busy() == {"holds"}


def test_a_choreographed_order_is_redriven_when_its_saga_time_has_come(
    shop: Shop, find_busy: Callable[[], set[str]]
) -> None:
    clock.start()
    shop.place(flow=Flow.CHOREOGRAPHED)
    OutboxMessage.objects.all().delete()
    assert find_busy() == set()
    Choreography.objects.update(due_at=clock.now())
    assert find_busy() == {str(Choreography._meta.verbose_name_plural)}
