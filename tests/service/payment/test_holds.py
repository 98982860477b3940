"""Payment's part of a choreographed order while an operator holds it (rule 30, holds)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from celery.exceptions import Reject

from celery_config.common.identifiers import uuid7
from celery_config.contracts.payment import AuthorizePayment, VoidPayment
from celery_config.messaging.holds.hold_list import Listing, keep_listing
from celery_config.messaging.holds.releasing import release_messages
from celery_config.messaging.holds.targets import KnownHold, encode_holds
from celery_config.messaging.models import BarrierRow, OutboxMessage
from celery_config.participant.handlers import registry
from tests.service.conftest import Participant
from tests.service.payment.shop import Shop
from tests.service.payment.test_choreography import Buyer

pytestmark = pytest.mark.django_db
PROVIDER = frozenset({AuthorizePayment.wire_name(), VoidPayment.wire_name()})


def know(version: int, **about: Any) -> None:
    hold = KnownHold(id=uuid7(), label="the provider", since=datetime.now(UTC), by="ada", why="down", **about)
    keep_listing(Listing("e1", version, encode_holds([hold] if about else [])))


@pytest.fixture
def buyer(shop: Shop, participant: Participant) -> Buyer:
    return Buyer(shop, participant)


def test_a_reaction_waits_and_is_carried_out_once_it_is_let_go(
    buyer: Buyer, participant: Participant
) -> None:
    know(1, commands=PROVIDER)
    assert buyer.placed() == []
    assert not BarrierRow.objects.exists()
    know(2)
    release_messages()
    held = OutboxMessage.objects.get(kind="task")
    assert held.hold is None
    assert [type(each).__name__ for each in participant.take_again(held.payload)] == ["PaymentReceived"]
    assert buyer.state == "authorized"


def test_an_event_that_is_sent_again_while_it_is_held_is_kept_once(buyer: Buyer) -> None:
    """Also with another id and drive: else a service could fill the database of another one."""
    know(1, commands=PROVIDER)
    for drive in (0, 0, 1):
        assert buyer.placed(drive) == []
    assert OutboxMessage.objects.filter(kind="task").count() == 1


def test_what_nobody_may_ask_for_is_refused_and_not_set_aside(buyer: Buyer, participant: Participant) -> None:
    """Else a service could fill the database of another one while that is held."""
    know(1, commands=PROVIDER)
    with pytest.raises(Reject, match="names another order"):
        participant.hear(buyer.announcement, of=uuid7())
    assert not OutboxMessage.objects.exists()


def test_a_withdrawal_passes_and_what_comes_later_finds_its_tombstone(
    buyer: Buyer, participant: Participant
) -> None:
    know(1, commands=PROVIDER)
    buyer.placed()
    assert buyer.withdrawn() == ["PaymentReleased"]
    know(2)
    held = OutboxMessage.objects.get(kind="task")
    assert participant.take_again(held.payload) == []
    assert buyer.state is None


def test_all_calls_outside_name_their_provider() -> None:
    outside = {handler.command for handler in registry.values() if handler.outside}
    assert {command.provider for command in outside} == {"payment provider"}
    assert not [
        handler.command for handler in registry.values() if handler.local and handler.command.provider
    ]
