"""A deploy while sagas are under way: what is driven again is the command that it was (rule 24, versions)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, make_dataclass
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from celery.app.task import Context
from django.contrib.auth.models import Group

from celery_config.contracts.base import Command, Reply
from celery_config.messaging.barrier.steps import Handler
from celery_config.messaging.deliveries import Delivery
from celery_config.messaging.models import BarrierRow
from celery_config.participant.handlers import StepMessage, decode_step, one_by_one
from celery_config.saga.dsl import Saga, compensatable, minutes, pivot, retriable
from celery_config.saga.engine.chains import ChainBuilder
from celery_config.saga.engine.machine import Drive
from tests.service import alone
from tests.service.shipped import read_made
from tests.trip import BookHotel, CancelHotel, ChargeTrip

pytestmark = pytest.mark.django_db


@dataclass(frozen=True, kw_only=True)
class TicketSent(Reply):
    service = "shipment"
    trip: UUID


@dataclass(frozen=True, kw_only=True)
class SendTicket(Command):
    """As it was released."""

    service = "shipment"
    done: ClassVar[type[Reply]] = TicketSent
    trip: UUID


@dataclass(frozen=True, kw_only=True)
class Data:
    """What the saga knew from its first release on, though the first ticket needed no address."""

    trip: UUID
    nights: int
    email: str


def grown(**fields: str) -> type[Command]:
    """The command of the next release: it has gained fields with defaults."""
    added = [(name, str, field(default=value)) for name, value in fields.items()]
    return make_dataclass("SendTicket", added, bases=(SendTicket,), frozen=True, kw_only=True)


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Command]], type[Saga]]:
    """The one version of a saga, as the code of a release has it."""
    monkeypatch.setattr(Saga, "registry", {})

    def define(command: type[Command]) -> type[Saga]:
        Saga.registry.clear()
        steps = [
            compensatable("hotel", BookHotel, undo=CancelHotel),
            pivot("charge", ChargeTrip),
            retriable("ticket", command),
        ]
        about = {"name": "journey", "version": 1, "deadline": minutes(15), "data": Data, "steps": steps}
        return type("Journey", (Saga,), about)

    return define


def drive_ticket(saga: type[Saga], saga_id: UUID, data: dict[str, Any], attempt: int) -> Any:
    """Send the step as the orchestrator of this release does, and carry it out as its participant."""
    command = saga.steps[2].command
    message = ChainBuilder(saga, saga_id, data, attempt).build(Drive("ticket"))
    kwargs = json.loads(json.dumps(message["kwargs"]))

    def send(asked: Any) -> TicketSent:
        Group.objects.create(name=str(uuid4()))
        return TicketSent(trip=asked.trip)

    handler = Handler(command, local=one_by_one(send))
    step = decode_step(handler, Delivery(Context(), StepMessage(**kwargs | {"saga": saga_id}), {}))
    return alone.act(handler, step)


def test_a_field_that_is_filled_from_the_sagas_data_makes_no_other_command(
    release: Callable[[type[Command]], type[Saga]],
) -> None:
    """The event that told the log of the step was lost, and the saga is driven again after the deploy, then once more
    by a process that still has the old code."""
    saga_id = uuid4()
    data = {"trip": str(uuid4()), "nights": 2, "email": "ada@example.com"}
    before, after = SendTicket, grown(email="")
    reply = drive_ticket(release(before), saga_id, data, 0)
    assert drive_ticket(release(after), saga_id, data, 1) == reply
    assert drive_ticket(release(before), saga_id, data, 2) == reply
    assert (BarrierRow.objects.count(), read_made().count()) == (1, 1)


def test_a_saga_that_begins_after_the_deploy_has_the_field(
    release: Callable[[type[Command]], type[Saga]],
) -> None:
    chains = ChainBuilder(
        release(grown(email="")), uuid4(), {"trip": str(uuid4()), "email": "ada@example.com"}, 0
    )
    assert chains.build(Drive("ticket"))["kwargs"]["command"]["email"] == "ada@example.com"
