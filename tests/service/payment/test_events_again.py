"""An event that one service refused is announced again, as it was, to that service alone."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from celery_config.contracts.payment import PaymentVoided
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.outbox import writing
from tests.service.peer import Peer

pytestmark = pytest.mark.django_db
PATH = "/api/events/again/"


@pytest.fixture
def event() -> dict[str, Any]:
    made = writing.cloud_event(PaymentVoided(order=uuid4()), subject="x", saga=UUID(int=9))
    with transaction.atomic():
        writing.add_events([made])
    return made


def ask(receiver: str, *events: dict[str, Any]) -> Any:
    known = [{"id": each["id"], "saga": each.get("saga"), "time": each["time"]} for each in events]
    return Peer().post(PATH, {"receiver": receiver, "events": known}, format="json")


def test_it_goes_to_one_service_and_the_feed_sees_nothing_of_it(event: dict[str, Any]) -> None:
    assert ask("order", event).json() == {"lost": []}
    row = OutboxMessage.objects.get(kind="task")
    assert (row.name, row.payload["kwargs"]) == ("events.receive", event)
    assert row.payload["options"]["routing_key"] == f"{event['type']}.again.order"
    assert OutboxMessage.objects.filter(kind="event").count() == 1


def test_one_that_is_not_kept_is_named(event: dict[str, Any]) -> None:
    other = event | {"id": str(uuid4())}
    assert ask("order", other).json() == {"lost": [other["id"]]}
    assert not OutboxMessage.objects.filter(kind="task").exists()


@pytest.mark.parametrize("changed", [{"time": "soon"}, {"id": "x"}])
def test_what_makes_no_sense_is_refused(event: dict[str, Any], changed: dict[str, str]) -> None:
    assert ask("order", event | changed).status_code == 400
    assert ask("nobody", event).status_code == 400
    assert not OutboxMessage.objects.filter(kind="task").exists()
