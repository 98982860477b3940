"""Participants ask which sagas have ended, before they forget what they did for them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from celery_config.messaging import retention
from celery_config.messaging.retention import SAGAS_AT_ONCE, SagaEnds
from celery_config.saga.engine import clock
from celery_config.saga.operations import selectors
from celery_config.saga.states import OPEN, Status
from order_project.domain import Flow
from order_project.models import Choreography
from tests.service.order.conftest import Placed, Shop

pytestmark = pytest.mark.django_db
URL = "/api/sagas/ended/"
LONG = timedelta(days=2)


def end(placed: Placed, status: Status, ago: timedelta = LONG) -> UUID:
    placed.set(status=status.value, since=clock.now() - ago, due_at=None)
    assert placed.saga_id
    return placed.saga_id


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.COMPENSATED])
def test_what_ended_long_ago_and_what_ended_just_now(shop: Shop, status: Status) -> None:
    """A message of the latter may still be under way, and find no row where its twin has left one."""
    long_ago, just_now = end(shop.order(), status), end(shop.order(), status, timedelta(hours=1))
    ends = selectors.read_ends([long_ago, just_now])
    assert ends == SagaEnds(ended=frozenset({long_ago}), open=frozenset({just_now}))


@pytest.mark.parametrize("status", [*OPEN, Status.PARKED])
def test_what_may_still_be_driven_is_open_however_old(shop: Shop, status: Status) -> None:
    placed = shop.order()
    placed.set(status=status.value, since=clock.now() - timedelta(days=400))
    assert selectors.read_ends([placed.saga_id]).open == {placed.saga_id}  # type: ignore[list-item]


def test_choreographed_orders_too_and_strangers_are_in_neither(shop: Shop) -> None:
    order = shop.place(flow=Flow.CHOREOGRAPHED).order
    assert selectors.read_ends([order, uuid4()]) == SagaEnds(open=frozenset({order}))
    Choreography.objects.update(status=Status.COMPLETED, since=clock.now() - LONG, due_at=None)
    assert selectors.read_ends([order, uuid4()]) == SagaEnds(ended=frozenset({order}))


class TestOverHttp:
    @pytest.fixture
    def served(self, live_server: Any, settings: Any) -> Iterator[None]:
        """The orchestrator's own web, where a participant asks."""
        settings.SERVICE_URLS = {**settings.SERVICE_URLS, "order": live_server.url}
        retention.orchestrator.cache_clear()
        yield
        retention.orchestrator.cache_clear()

    def test_a_participant_asks_about_many_at_once(self, shop: Shop, served: None) -> None:
        ended, still_open = end(shop.order(), Status.COMPLETED), shop.order().saga_id
        strangers = [uuid4() for _ in range(SAGAS_AT_ONCE - 2)]
        ends = retention.ask_orchestrator([ended, still_open, *strangers])  # type: ignore[list-item]
        assert ends == SagaEnds(ended=frozenset({ended}), open=frozenset({still_open}))  # type: ignore[arg-type]

    def test_people_do_not(self, admin_client: Any, stranger: Any) -> None:
        assert admin_client.post(URL, {"sagas": []}, content_type="application/json").status_code == 403
        assert stranger.post(URL, {"sagas": []}, format="json").status_code == 401

    def test_not_more_than_are_asked_about_at_once(self, peer: Any) -> None:
        many = {"sagas": [str(uuid4()) for _ in range(SAGAS_AT_ONCE + 1)]}
        assert peer.post(URL, many, format="json").status_code == 400
