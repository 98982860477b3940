"""Inventory knows orders and no customers; only what it passed on may tell of one."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from celery_config.common.identifiers import uuid7
from celery_config.contracts.inventory import ForgetBuyer
from celery_config.messaging.models import OutboxMessage
from inventory_app import selectors
from tests.service.conftest import Participant
from tests.service.everything import counts, told
from tests.service.inventory.conftest import Shop
from tests.service.inventory.test_choreography import ADDRESS, collected, received

PERSONAL = ("1 High St", "SW1")


def forget(*about: UUID) -> ForgetBuyer:
    return ForgetBuyer(erasure=uuid4(), customer=uuid4(), about=about)


@pytest.fixture
def order(shop: Shop, participant: Participant) -> UUID:
    """A choreographed one, which passed the address through here."""
    shop.stock(TEA=10)
    order = uuid7()
    participant.hear(received(order))
    participant.hear(collected(order))
    return order


def test_what_was_passed_on_goes_and_the_stock_stays(
    shop: Shop, participant: Participant, order: UUID
) -> None:
    assert told(*PERSONAL)
    facts = selectors.facts(orders=[order])
    reply = participant.do(forget(order))
    assert counts(reply) == {
        "messaging.BarrierRow": 0,
        "messaging.OutboxMessage": 1,
        "messaging.IdempotencyKey": 0,
    }
    assert told(*PERSONAL) == []
    assert (selectors.facts(orders=[order]), shop.levels(), shop.faults()) == (facts, {"TEA": (7, 0)}, [])


def test_a_late_event_passes_nothing_on(shop: Shop, participant: Participant, order: UUID) -> None:
    participant.do(forget(order))
    assert participant.hear(received(order), drive=1) == []
    assert told(*PERSONAL) == []
    assert shop.faults() == []


def test_who_is_not_known_here_has_a_receipt_all_the_same(shop: Shop, participant: Participant) -> None:
    saga, command = uuid4(), forget(uuid7(), uuid7())
    reply = participant.do(command, saga=saga)
    assert counts(reply) == {
        "messaging.BarrierRow": 0,
        "messaging.OutboxMessage": 0,
        "messaging.IdempotencyKey": 0,
    }
    assert participant.do(command, saga=saga)["at"] == reply["at"]


def test_the_audit_finds_what_is_left(shop: Shop, participant: Participant, order: UUID) -> None:
    participant.do(forget(order))
    row = OutboxMessage.objects.get(name="inventory.inventory_fetched")
    row.payload["data"]["address"]["city"] = ADDRESS.city
    row.save()
    assert shop.faults() == [
        f"1 rows of messaging.OutboxMessage hold personal data of an erased customer: {row.pk}"
    ]
