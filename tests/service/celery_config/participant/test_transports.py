"""A command is the same command over the broker and over REST: one suite for both."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol
from uuid import uuid4

import pytest
from celery import current_app
from celery.app.task import Context
from celery.exceptions import Ignore, Reject
from django.conf import settings
from django.test import override_settings
from django.utils import timezone
from rest_framework.test import APIClient

from celery_config.broker.message_authentication import PROOF, WORDS, MessageKeys, Mode
from celery_config.common.identifiers import uuid7
from celery_config.common.services import ORCHESTRATOR
from celery_config.contracts.base import encode
from celery_config.errors import (
    CallFailed,
    OutcomeUnknown,
    Refused,
    ServiceUnavailable,
    StateContradicted,
    StepSuperseded,
)
from celery_config.http.circuit_breaker import CircuitBreaker
from celery_config.http.json_client import JsonClient
from celery_config.messaging import epochs
from celery_config.messaging.barrier.fences import PIVOT_RAN
from celery_config.messaging.barrier.steps import STEP_LOST
from celery_config.messaging.deliveries import Delivery, Outcome, TriedLater
from celery_config.messaging.models import BarrierRow, OutboxMessage
from celery_config.messaging.tasks import DurableTask, Work, durable_task
from celery_config.participant import handlers
from celery_config.participant.handlers import StepMessage
from celery_config.participant.rest_client import Participant
from compose.local import ports
from tests.service.celery_config.conftest import Hotel
from tests.trip import BookHotel, CancelHotel

pytestmark = pytest.mark.django_db(transaction=True)


class Transport(Protocol):
    def send(self, task: str, message: dict[str, Any], replies: dict[str, Any]) -> Outcome:
        """Let the participant carry out one message; return what its link's outcome is."""


class OverTheBroker:
    """As the worker does with what the broker brings."""

    def send(self, task: str, message: dict[str, Any], replies: dict[str, Any]) -> Outcome:
        durable: DurableTask = current_app.tasks[task]
        request = Context(args=[replies], kwargs=message, headers={}, retries=10**6, id=str(uuid4()))
        ((_, outcome),) = durable.carry_out([request])
        return outcome


class OverRest:
    """Through the orchestrator's client and this service's own pages, over a socket."""

    def __init__(self, url: str) -> None:
        token = settings.SERVICE_TOKENS.find_token(settings.SERVICE, ORCHESTRATOR)
        client = JsonClient(url, token=token, away=ServiceUnavailable)
        breaker = CircuitBreaker(failures=100, reset_timeout=1.0, counts=lambda error: True)
        self.participant = Participant(client, breaker)

    def send(self, task: str, message: dict[str, Any], replies: dict[str, Any]) -> Outcome:
        try:
            return self.participant.ask(task, message, replies, key=str(uuid4()))
        except (Refused, OutcomeUnknown, CallFailed) as error:
            return error


@pytest.fixture(params=["amqp", "http"])
def transport(request: pytest.FixtureRequest) -> Transport:
    if request.param == "amqp":
        return OverTheBroker()
    return OverRest(request.getfixturevalue("live_server").url)


@pytest.fixture
def registered(hotel: Hotel) -> Iterator[Hotel]:
    """The hotel as a participant of this service, less for this test."""
    handlers.load_handlers()  # as a web server does when it starts
    names = list(hotel.handlers)
    for handler in hotel.handlers.values():
        handlers.register_handler(handler)
    current_app.finalize()
    yield hotel
    for name in names:
        del handlers.registry[name]
        current_app.tasks.unregister(name)


class Guest:
    """Sends the hotel's messages over one transport."""

    def __init__(self, hotel: Hotel, transport: Transport) -> None:
        self.hotel, self.transport = hotel, transport

    def book(self, nights: int = 3, **replies: Any) -> Outcome:
        return self.send(BookHotel(trip=self.hotel.trip, nights=nights), "do", replies)

    def cancel(self, known: str = "", **replies: Any) -> Outcome:
        return self.send(CancelHotel(trip=self.hotel.trip), "undo", replies, known=known)

    def send(self, command: Any, operation: str, replies: dict[str, Any], **more: Any) -> Outcome:
        message = {
            "saga": str(self.hotel.saga),
            "step": "hotel",
            "operation": operation,
            "attempt": 0,
            "command": encode(command),
            **more,
        }
        return self.transport.send(command.wire_name(), message, replies)

    def fence(self, known: str = "") -> Outcome:
        message = {
            "known": known,
            "saga": str(self.hotel.saga),
            "step": "hotel",
            "attempt": 0,
            "pivot": BookHotel.wire_name(),
            "subject": str(self.hotel.trip),
        }
        return self.transport.send(f"{settings.SERVICE}.fence", message, {})


@pytest.fixture
def guest(registered: Hotel, transport: Transport) -> Guest:
    return Guest(registered, transport)


def test_its_reply_joins_the_others(guest: Guest) -> None:
    outcome = guest.book(flight={"seat": "1A"})
    assert outcome == {"flight": {"seat": "1A"}, "hotel": guest.hotel.row.reply}
    assert (guest.hotel.bookings, guest.hotel.events) == (1, ["done"])
    assert guest.hotel.row.key == guest.hotel.step("do", None).key


def test_unknown_fields_are_ignored(guest: Guest) -> None:
    """Rule 24: a newer orchestrator may send more than this service knows."""
    command = encode(BookHotel(trip=guest.hotel.trip, nights=3)) | {"breakfast": True}
    message = {
        "saga": str(guest.hotel.saga), "step": "hotel", "operation": "do", "attempt": 0, "command": command, "lane": 7,
    }  # fmt: skip
    outcome = guest.transport.send(BookHotel.wire_name(), message, {})
    assert (outcome, guest.hotel.bookings) == ({"hotel": guest.hotel.row.reply}, 1)


def test_a_repeat_is_answered_alike_and_does_nothing(guest: Guest) -> None:
    assert guest.book() == guest.book()
    assert (guest.hotel.bookings, guest.hotel.events) == (1, ["done"])


def test_a_refusal_has_its_code_and_reason(guest: Guest) -> None:
    guest.hotel.full = True
    for _ in range(2):
        refusal = guest.book()
        assert isinstance(refusal, Refused)
        assert (refusal.code, refusal.reason) == ("hotel_full", "no room left")
        guest.hotel.full = False
    assert guest.hotel.events == ["refused"]


def test_an_undo_takes_back_and_the_late_action_never_runs(guest: Guest) -> None:
    guest.book()
    assert guest.cancel(kept={}) == {"kept": {}}
    assert isinstance(guest.book(), StepSuperseded)
    assert (guest.hotel.bookings, guest.hotel.events) == (0, ["done", "undone"])


def test_an_undo_before_its_action_is_a_tombstone(guest: Guest) -> None:
    assert guest.cancel() == {}
    assert isinstance(guest.book(), StepSuperseded)
    assert guest.hotel.row.action == "tombstone"


def test_a_fence_of_what_ran_ends_its_chain(guest: Guest) -> None:
    guest.book()
    assert isinstance(guest.fence(), Ignore)
    assert guest.hotel.events == ["done", PIVOT_RAN]


def test_a_fence_of_what_never_ran_lets_the_chain_go_on(guest: Guest) -> None:
    assert guest.fence() == {}
    assert isinstance(guest.book(), StepSuperseded)


def test_other_contents_under_one_id_are_for_a_human(guest: Guest) -> None:
    guest.book(nights=3)
    outcome = guest.book(nights=4)
    assert isinstance(outcome, Reject)
    assert not outcome.requeue
    assert guest.hotel.bookings == 1


class TestADatabaseThatWasSetBack:
    """The saga log knows the step as done, and there is no row of it (rule 7, the undo)."""

    @pytest.fixture
    def lost(self, guest: Guest) -> Guest:
        guest.book()
        BarrierRow.objects.all().delete()
        OutboxMessage.objects.all().delete()
        return guest

    def assert_reported(self, lost: Guest, outcome: Outcome, operation: str) -> None:
        assert isinstance(outcome, Ignore)
        assert not BarrierRow.objects.exists(), "a row would say that it never ran"
        message = OutboxMessage.objects.get().payload
        assert message["task"] == STEP_LOST
        about = {"saga": str(lost.hotel.saga), "step": "hotel", "operation": operation}
        assert message["kwargs"].items() >= about.items()

    def test_an_undo_does_not_say_that_it_never_ran(self, lost: Guest) -> None:
        self.assert_reported(lost, lost.cancel(known="done"), "undo")
        assert lost.hotel.bookings == 1

    def test_nor_does_a_fence(self, lost: Guest) -> None:
        self.assert_reported(lost, lost.fence(known="done"), "do")

    def test_nor_is_the_action_done_again(self, lost: Guest) -> None:
        command = BookHotel(trip=lost.hotel.trip, nights=3)
        self.assert_reported(lost, lost.send(command, "do", {}, known="done"), "do")
        assert lost.hotel.bookings == 1

    def test_what_is_known_is_no_part_of_the_command(self, guest: Guest) -> None:
        guest.book()
        command = BookHotel(trip=guest.hotel.trip, nights=3)
        assert guest.send(command, "do", {}, known="done") == {"hotel": guest.hotel.row.reply}
        assert guest.cancel(known="done") == {}
        assert guest.hotel.bookings == 0

    def test_while_it_is_recovered_a_missing_row_proves_nothing(self, guest: Guest) -> None:
        epochs.begin("restored")
        for outcome in (guest.cancel(), guest.fence(), guest.cancel(known="done")):
            assert isinstance(outcome, ServiceUnavailable | TriedLater)
        assert not BarrierRow.objects.exists()
        assert not OutboxMessage.objects.filter(name=STEP_LOST).exists()
        epochs.end_recovery()
        assert guest.cancel() == {}

    def test_meanwhile_younger_sagas_go_on(self, guest: Guest) -> None:
        epochs.begin("restored")
        guest.hotel.saga = uuid7(timezone.now() + timedelta(minutes=1))
        assert guest.cancel() == {}


@pytest.mark.parametrize("replies", [{}, {"flight": {}}, {"flight": None}])
def test_a_reply_that_is_not_there_is_not_waited_for(guest: Guest, replies: dict[str, Any]) -> None:
    command = BookHotel(trip=guest.hotel.trip, nights=3)
    outcome = guest.send(command, "do", replies, needs={"nights": "flight"})
    assert isinstance(outcome, Reject | CallFailed)
    assert "lack what it needs" in str(outcome.reason)
    assert guest.hotel.bookings == 0


@pytest.mark.parametrize("error", [ValueError("disk full"), KeyError("a shelf of its own")])
def test_an_error_leaves_nothing_behind_and_may_be_sent_again(guest: Guest, error: Exception) -> None:
    """Even an error that would mean, if the message caused it, that the message is wrong."""
    guest.hotel.broken = error
    outcome = guest.book()
    assert isinstance(outcome, Exception)
    assert not isinstance(outcome, Reject | CallFailed)
    assert (guest.hotel.bookings, BarrierRow.objects.filter(saga=guest.hotel.saga).count()) == (0, 0)
    guest.hotel.broken = None
    assert guest.book()["hotel"] == guest.hotel.row.reply


@pytest.mark.usefixtures("registered")
class TestTheDoor:
    def test_is_for_services_alone(self, stranger: APIClient, admin_user: Any) -> None:
        body = {"task": BookHotel.wire_name(), "message": {}, "replies": {}}
        assert stranger.post("/api/commands/", body, format="json").status_code == 401
        stranger.force_authenticate(admin_user)
        assert stranger.post("/api/commands/", body, format="json").status_code == 403

    def test_knows_what_is_no_command(self, peer: APIClient) -> None:
        for task in ("inventory.no_such_thing", "events.receive", "celery.backend_cleanup"):
            answer = peer.post("/api/commands/", {"task": task, "message": {}, "replies": {}}, format="json")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    def test_says_what_is_wrong_with_a_message(self, peer: APIClient) -> None:
        body = {"task": BookHotel.wire_name(), "message": {"saga": "x"}, "replies": {}}
        answer = peer.post("/api/commands/", body, format="json")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
        assert "saga" in answer.json()["detail"] or "missing" in answer.json()["detail"]

    @pytest.mark.parametrize(
        ("said", "status", "code"),
        [
            ({"operation": "banana"}, 400, "invalid"),
            ({"attempt": -1}, 400, "invalid"),
            ({"attempt": 2**70}, 400, "invalid"),
            ({"step": "a\0"}, 409, "command_rejected"),
            ({"step": "\ud83d"}, 409, "command_rejected"),
            ({"step": "a" * 5000}, 409, "command_rejected"),
        ],
    )
    def test_refuses_what_nobody_could_carry_out_or_store(
        self, peer: APIClient, hotel: Hotel, said: dict[str, Any], status: int, code: str
    ) -> None:
        message = {
            "saga": str(hotel.saga), "step": "hotel", "operation": "do", "attempt": 0,
            "command": encode(BookHotel(trip=hotel.trip, nights=3)), **said,
        }  # fmt: skip
        body = {"task": BookHotel.wire_name(), "message": message, "replies": {}}
        answer = peer.post("/api/commands/", json.dumps(body), content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert hotel.bookings == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CallFailed("invalid_request", "no such field"), "call_failed"),
        (StateContradicted("it is released"), "contradicted"),
    ],
)
def test_over_rest_a_failure_that_did_nothing_is_told_from_an_unknown_one(
    registered: Hotel, live_server: Any, error: Exception, code: str
) -> None:
    registered.broken = error
    outcome = Guest(
        registered,
        OverRest(live_server.url),
    ).book()
    assert isinstance(outcome, CallFailed)
    assert (outcome.code, outcome.reason) == (code, str(error))


class TestWhoIsAway:
    """Over REST a participant that is not there did nothing, and that does not count as a try."""

    def away(self) -> Participant:
        url = f"http://{ports.LOOPBACK}:{ports.free_port()}"
        client = JsonClient(url, seconds=1.0, away=ServiceUnavailable)
        return Participant(client, CircuitBreaker(failures=2, reset_timeout=60.0, counts=lambda error: True))

    def test_is_away_and_then_left_alone(self) -> None:
        participant = self.away()
        for text in ("ConnectError", "ConnectError", "calls in a row failed"):
            with pytest.raises(ServiceUnavailable, match=text):
                participant.ask("inventory.book_hotel", {}, {}, key="k")

    def test_is_waited_for_without_end(self) -> None:
        @contextlib.contextmanager
        def asked() -> Iterator[str]:
            def ask(deliveries: Sequence[Delivery[StepMessage]]) -> list[Outcome]:
                raise ServiceUnavailable("nobody is there")

            name = f"test.{uuid4().hex}"
            durable_task(name, Work(message=StepMessage, chained=True, handle=ask, exhausted="errback"))
            current_app.finalize()
            yield name
            current_app.tasks.unregister(name)

        message = {"saga": str(uuid4()), "step": "hotel", "operation": "do", "attempt": 0, "command": {}}
        with asked() as name:
            request = Context(args=[{}], kwargs=message, headers={}, retries=1000, id=str(uuid4()))
            ((_, outcome),) = current_app.tasks[name].carry_out([request])
            assert isinstance(outcome, TriedLater)
            promised = OutboxMessage.objects.get(name=name)
            assert promised.payload["options"]["retries"] == 1000


class TestAuthenticity:
    """Rule 29 (authenticity): over either transport a participant does what the orchestrator's code covers, no more."""

    @pytest.fixture(autouse=True)
    def keys(self) -> Iterator[MessageKeys]:
        keys = replace(settings.MESSAGE_KEYS, mode=Mode.REQUIRE)
        with override_settings(MESSAGE_KEYS=keys):
            yield keys

    def signed(self, hotel: Hotel, after: dict[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
        command = encode(BookHotel(trip=hotel.trip, nights=3))
        kwargs = {
            "saga": str(hotel.saga),
            "step": "hotel",
            "operation": "do",
            "attempt": 0,
            "command": command,
            **(after or {}),
        }
        code = settings.MESSAGE_KEYS.sign_message(settings.SERVICE, BookHotel.wire_name(), kwargs)
        return {**kwargs, **code, **changed}

    def test_what_the_orchestrator_sends_is_done_and_vouched_for(
        self, registered: Hotel, transport: Transport, keys: MessageKeys
    ) -> None:
        before = {"flight": {"seat": "1A"}, WORDS: {"flight": "inventory:00"}}
        outcome = transport.send(BookHotel.wire_name(), self.signed(registered, attempt=2), before)
        words = outcome.pop(WORDS)
        assert registered.bookings == 1
        assert words.pop("flight") == "inventory:00"
        about = (str(registered.saga), "hotel", "done", outcome["hotel"])
        assert keys.find_speaker(words.pop("hotel"), *about) == settings.SERVICE

    @pytest.mark.parametrize(
        "changed",
        [{"mac": None}, {"mac": "00"}, {"saga": str(uuid4())}, {"step": "flight"}, {"command": {}}],
        ids=str,
    )
    def test_what_it_did_not_send_is_a_dead_letter(
        self, registered: Hotel, transport: Transport, changed: dict[str, Any]
    ) -> None:
        outcome = transport.send(BookHotel.wire_name(), self.signed(registered, **changed), {})
        assert isinstance(outcome, Reject)
        assert not outcome.requeue
        assert (registered.bookings, BarrierRow.objects.count()) == (0, 0)

    def test_words_that_are_none_stop_nothing(self, registered: Hotel, transport: Transport) -> None:
        outcome = transport.send(BookHotel.wire_name(), self.signed(registered), {WORDS: ["x"]})
        assert set(outcome[WORDS]) == {"hotel", f"hotel{PROOF}"}

    def test_a_link_that_is_handed_on_too_early_is_a_dead_letter(
        self, registered: Hotel, transport: Transport, keys: MessageKeys
    ) -> None:
        flight = (settings.SERVICE, str(registered.saga), "flight", "do")
        link = self.signed(registered, {"after": {"flight": keys.make_locks(*flight)}})
        for early in ({}, {"flight": {"seat": "1A"}}, {WORDS: {f"flight{PROOF}": "00"}}):
            assert isinstance(transport.send(BookHotel.wire_name(), link, early), Reject)
        assert (registered.bookings, BarrierRow.objects.count()) == (0, 0)
        in_turn = {WORDS: keys.sign_outcome(*flight, "done", None)}
        assert transport.send(BookHotel.wire_name(), link, in_turn)["hotel"]
        assert registered.bookings == 1
