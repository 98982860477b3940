"""A participant of our own, with effects that can be counted: a hotel (local) and a card provider (outside)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import current_app
from django.contrib.auth.models import Group
from django.db import connection

from celery_config.contracts.base import Command
from celery_config.errors import OutcomeUnknown, Refused
from celery_config.messaging.barrier.steps import Handler, StepRequest
from celery_config.messaging.models import BarrierRow, OutboxMessage
from celery_config.participant.handlers import OneByOne, one_by_one
from tests.service import alone
from tests.trip import BookHotel, CancelHotel, ChargeTrip, HotelBooked, IssueTicket, TicketIssued, TripCharged


class Hotel:
    """Its bookings are rows of whatever table every service's database has."""

    def __init__(self) -> None:
        self.saga, self.trip = uuid4(), uuid4()
        self.full = False
        self.broken: Exception | None = None
        self.book_handler = Handler(BookHotel, local=one_by_one(self.book))
        self.cancel_handler = Handler(CancelHotel, local=one_by_one(self.cancel))
        self.handlers = {h.command.wire_name(): h for h in (self.book_handler, self.cancel_handler)}

    def book(self, command: BookHotel) -> HotelBooked:
        booking = uuid4()
        Group.objects.create(name=f"{command.trip}/{booking}")
        self._fail()
        if self.full:
            raise Refused("hotel_full", "no room left")
        return HotelBooked(booking=booking)

    def cancel(self, command: CancelHotel) -> None:
        Group.objects.filter(name__startswith=str(command.trip)).delete()
        self._fail()

    def _fail(self) -> None:
        if self.broken:
            raise self.broken

    def act(self, nights: int = 3) -> dict[str, Any]:
        step = self.step("do", BookHotel(trip=self.trip, nights=nights))
        done: dict[str, Any] = alone.act(self.book_handler, step)
        return done

    def undo(self) -> None:
        alone.undo(self.cancel_handler, self.step("undo", CancelHotel(trip=self.trip)), self.handlers.get)

    def fence(self) -> bool:
        """As if the booking were a pivot."""
        return alone.fence(self.step("do", None), BookHotel.wire_name(), self.handlers.get)

    def step(self, operation: str, command: Command | None) -> StepRequest:
        return StepRequest(self.saga, "hotel", operation, str(self.trip), command)

    @property
    def bookings(self) -> int:
        return Group.objects.filter(name__startswith=str(self.trip)).count()

    @property
    def row(self) -> BarrierRow:
        return BarrierRow.objects.get(saga=self.saga)

    @property
    def events(self) -> list[str]:
        return told(self.saga)


def told(saga: UUID) -> list[str]:
    """The outcomes announced for a saga and the tasks promised for it, in order."""
    rows = OutboxMessage.objects.filter(saga=saga).order_by("id")
    return [name_news(row.payload) if row.kind == "event" else row.name for row in rows]


def name_news(event: dict[str, Any]) -> str:
    return str(event["outcome"]) if "outcome" in event else f"try {event['data']['number']}"


class Killed(BaseException):
    """The process dies here."""


class Provider:
    """A provider of the outside world with idempotency keys and books. `meanwhile` runs inside a call."""

    def __init__(self) -> None:
        self.books: dict[UUID, str] = {}  # key -> charged, refused, cancelled
        self.calls: list[tuple[str, UUID, dict[str, Any]]] = []
        self.refuses = False
        self.before: Callable[[], None] | None = None
        self.after: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def charge(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        assert not connection.in_atomic_block, "no transaction is held open over a call"
        self.calls.append(("charge", key, request))
        self._meanwhile("before")
        with self._lock:
            outcome = self.books.setdefault(key, "refused" if self.refuses else "charged")
        self._meanwhile("after")
        if outcome == "refused":
            raise Refused("card_declined", "the bank said no")
        return {"provider_id": f"ch_{key.hex[:8]}"}

    def cancel(self, key: UUID, charge: UUID) -> dict[str, Any]:
        assert not connection.in_atomic_block
        self.calls.append(("cancel", key, {}))
        self._meanwhile("before")
        with self._lock:
            self.books[charge] = "cancelled"
        self._meanwhile("after")
        return {}

    def _meanwhile(self, when: str) -> None:
        """Each planned disturbance happens once."""
        with self._lock:
            planned = getattr(self, when)
            setattr(self, when, None)
        if planned:
            planned()

    def keys(self, kind: str) -> set[UUID]:
        return {key for what, key, _ in self.calls if what == kind}


def unknown() -> None:
    raise OutcomeUnknown("timed out")


def killed() -> None:
    raise Killed


class Charge(OneByOne):
    """`handles_outside` of ChargeTrip."""

    def __init__(self, provider: Provider) -> None:
        self.provider, self.rate = provider, 100

    def request(self, command: ChargeTrip) -> dict[str, Any]:
        return {"trip": str(command.trip), "rate": self.rate}

    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        return self.provider.charge(key, request)

    def settle_one(self, request: dict[str, Any], answer: dict[str, Any]) -> TripCharged:
        assert connection.in_atomic_block
        Group.objects.create(name=f"{request['trip']}/{answer['provider_id']}")  # the name is unique
        return TripCharged(charge=UUID(int=1))


class CancelCharge(OneByOne):
    """`handles_outside` of its undo, for which any command with the trip's id will do."""

    def __init__(self, bank: Bank) -> None:
        self.bank = bank

    def request(self, command: CancelHotel) -> dict[str, Any]:
        return {"trip": str(command.trip)}

    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        return self.bank.provider.cancel(key, self.bank.key)

    def settle_one(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        Group.objects.filter(name__startswith=request["trip"]).delete()


class Bank:
    """A participant with an effect outside."""

    def __init__(self) -> None:
        self.saga, self.trip = uuid4(), uuid4()
        self.provider = Provider()
        self.charge = Charge(self.provider)
        self.charge_handler = Handler(ChargeTrip, outside=self.charge)
        self.cancel_handler = Handler(CancelHotel, outside=CancelCharge(self))
        self.handlers = {h.command.wire_name(): h for h in (self.charge_handler, self.cancel_handler)}

    def act(self) -> dict[str, Any]:
        step = self.step("do", ChargeTrip(trip=self.trip, booking=self.trip))
        done: dict[str, Any] = alone.act(self.charge_handler, step)
        return done

    def undo(self) -> None:
        alone.undo(self.cancel_handler, self.step("undo", CancelHotel(trip=self.trip)), self.handlers.get)

    def fence(self) -> bool:
        return alone.fence(self.step("do", None), ChargeTrip.wire_name(), self.handlers.get)

    def step(self, operation: str, command: Command | None) -> StepRequest:
        return StepRequest(self.saga, "charge", operation, str(self.trip), command)

    @property
    def key(self) -> UUID:
        return self.step("do", None).id

    @property
    def payments(self) -> int:
        return Group.objects.filter(name__startswith=str(self.trip)).count()

    @property
    def row(self) -> BarrierRow:
        return BarrierRow.objects.get(saga=self.saga)

    @property
    def events(self) -> list[str]:
        return told(self.saga)


def issue_ticket(command: IssueTicket) -> TicketIssued:
    """A retriable step that says no, which it may not."""
    raise Refused("no_paper", "the printer is empty")


@pytest.fixture
def hotel() -> Hotel:
    return Hotel()


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Celery would publish, in order."""
    messages: list[dict[str, Any]] = []

    def record(name: str, args: Any = None, kwargs: Any = None, **options: Any) -> None:
        messages.append(
            {"task": name, "args": list(args or ()), "kwargs": dict(kwargs or {}), "options": options}
        )

    monkeypatch.setattr(current_app._get_current_object(), "send_task", record)
    return messages
