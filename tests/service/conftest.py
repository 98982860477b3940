"""What the tests of all services share; one service a process, since a process has one settings module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import current_app
from celery.app.task import Context
from celery.exceptions import Ignore
from django.conf import settings as django_settings
from django.core.cache import cache
from django.test import override_settings
from rest_framework.test import APIClient

from celery_config.broker.message_authentication import Mode
from celery_config.broker.topology import RECEIVE, Topology
from celery_config.common.services import SERVICES, SUBSCRIPTIONS
from celery_config.contracts.base import Command, Event, decode
from celery_config.errors import Refused, StepSuperseded
from celery_config.messaging import epochs
from celery_config.messaging.barrier.steps import StepRequest
from celery_config.messaging.deliveries import Call
from celery_config.messaging.flow_control.gate import get_gate
from celery_config.messaging.holds import hold_list
from celery_config.messaging.models import OutboxMessage
from celery_config.participant.choreography import build_event
from celery_config.participant.handlers import registry
from celery_config.web.navigation import BADGES_KEY
from compose.local.rabbitmq import RabbitServer
from tests.service import alone
from tests.service.broker import ADMIN
from tests.service.declared_answers import answers_declared
from tests.service.peer import Peer
from tests.service.quick import made_quick
from tests.service.together import together as call_together
from tests.unit.celery_config.contracts.test_contracts import ALL
from tests.unit.compose.sandbox.sandbox_process import SandboxProcess


class Participant:
    """Gives the service a saga's commands as its worker would, without a broker."""

    def __init__(self) -> None:
        current_app.loader.import_default_modules()

    def do(self, command: Command, *, saga: UUID | None = None, step: str = "step") -> dict[str, Any]:
        """Carry out an action; without `saga` it belongs to a saga of its own."""
        handler = registry[command.wire_name()]
        done: dict[str, Any] = alone.act(
            handler, StepRequest(saga or uuid4(), step, "do", command.subject, command)
        )
        return done

    def undo(self, command: Command, *, saga: UUID, step: str = "step") -> None:
        """Carry out the undo of a step."""
        handler = registry[command.wire_name()]
        alone.undo(handler, StepRequest(saga, step, "undo", command.subject, command), registry.get)

    def fence(self, pivot: type[Command], *, saga: UUID, step: str = "step", subject: str = "") -> bool:
        """Fence a pivot; say whether it ran."""
        return alone.fence(StepRequest(saga, step, "do", subject), pivot.wire_name(), registry.get)

    def hear(
        self,
        event: Event,
        *,
        of: UUID | None = None,
        drive: int = 0,
        known: str = "",
        redelivered: bool = False,
        **attributes: str,
    ) -> list[Event]:
        """Hear an event of a choreographed order, to the end; return what is announced then, decoded.

        Args:
            of: the order that the event is of; by default the one in its data.
            redelivered: whether another worker had it before.
            attributes: further ones of the event, such as its mandate.

        Raises:
            what the worker would see: a refusal, a failed call.
        """
        order = of or UUID(str(getattr(event, "order")))  # noqa: B009
        message = build_event(event, order=order, drive=drive, known=known, event_id=uuid4(), **attributes)
        delivery = {"redelivered": redelivered}
        return self.take(Context(args=[], kwargs=message, id=message["id"], delivery_info=delivery))

    def take_again(self, message: dict[str, Any]) -> list[Event]:
        """Take an event that the outbox holds for another try."""
        options = message["options"]
        return self.take(
            Context(args=[], kwargs=message["kwargs"], id=options["task_id"], retries=options["retries"])
        )

    def take(self, request: Context) -> list[Event]:
        before = set(OutboxMessage.objects.values_list("id", flat=True))
        ((delivery, outcome),) = self.receive.carry_out([request])
        while isinstance(outcome, Call):
            ((delivery, outcome),) = self.receive.finish_calls([(delivery, outcome, outcome.answer())])
        if isinstance(outcome, Exception) and not isinstance(outcome, (Refused, StepSuperseded, Ignore)):
            raise outcome
        said = OutboxMessage.objects.filter(kind="event").exclude(id__in=before).order_by("id")
        return [decode(ALL[each["type"]], each["data"]) for each in said.values_list("payload", flat=True)]

    @property
    def receive(self) -> Any:
        return current_app.tasks[RECEIVE]


@pytest.fixture(autouse=True)
def _each_look_at_flows_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celery_config.health.SHARED_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def _badges_of_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sidebar's numbers are read once in a test: a test that counts statements does not depend on their age."""
    cache.delete(BADGES_KEY)
    monkeypatch.setattr("celery_config.web.navigation.BADGE_SECONDS", None)


@pytest.fixture(scope="session", autouse=True)
def _quick() -> Iterator[None]:
    with made_quick():
        yield


@pytest.fixture(scope="session", autouse=True)
def _messages_without_codes() -> Iterator[None]:
    """A test writes its messages by hand, without codes; tests of the codes turn them on."""
    keys = replace(django_settings.MESSAGE_KEYS, mode=Mode.OFF)
    with override_settings(MESSAGE_KEYS=keys):
        yield


@pytest.fixture(scope="session", autouse=True)
def _answers_declared() -> Iterator[None]:
    with answers_declared():
        yield


@pytest.fixture(autouse=True)
def _nothing_held() -> None:
    """No test learns from the one before what is held."""
    hold_list.memory.holds, hold_list.memory.until = (), 0.0


@pytest.fixture(autouse=True)
def _unlimited_calls() -> Iterator[None]:
    """No test learns from the one before that a provider was called too often."""
    yield
    get_gate.cache_clear()


@pytest.fixture(autouse=True)
def _no_recovery() -> Iterator[None]:
    """No test learns from the one before that a database is being recovered."""
    yield
    epochs.forget_known()


@pytest.fixture
def participant() -> Participant:
    return Participant()


@pytest.fixture
def together() -> Callable[..., list[Any]]:
    """Makes calls at the same moment, each in a thread with a connection of its own."""
    return call_together


@pytest.fixture
def peer() -> APIClient:
    """The API as the one calls it who may: a service, or the operator, or else an administrator."""
    return Peer()


@pytest.fixture
def stranger() -> APIClient:
    """The API without any token."""
    return APIClient()


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """The provider and the carrier, as a process of their own."""
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox") / "sandbox.sqlite3").start()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """A broker of one's own, with our topology."""
    definitions = Topology.load(SUBSCRIPTIONS).definitions
    server = RabbitServer(tmp_path_factory.mktemp("rabbitmq"), (*SERVICES, ADMIN), definitions)
    server.start()
    yield server
    server.kill()
