"""A saga's definition is checked when its class is made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest

from celery_config.contracts.base import Command, Reply
from celery_config.errors import DefinitionError
from celery_config.saga.dsl import (
    Saga,
    Step,
    compensatable,
    field_sources,
    find_saga,
    minutes,
    pivot,
    retriable,
)
from tests.trip import (
    BookFlight,
    BookHotel,
    CancelFlight,
    CancelHotel,
    ChargeTrip,
    Holiday,
    HotelBooked,
    IssueTicket,
    Trip,
    TripData,
    trip_data,
)

HOTEL = compensatable("hotel", BookHotel, undo=CancelHotel)
FLIGHT = compensatable("flight", BookFlight, undo=CancelFlight)
CHARGE = pivot("charge", ChargeTrip)
TICKET = retriable("ticket", IssueTicket)


def define(steps: Sequence[Step], deadline: float = minutes(15), **more: Any) -> type[Saga]:
    """A saga with these steps, its name fresh."""
    return type("Defined", (Saga,), {
        "name": f"s-{uuid4()}", "version": 1, "deadline": deadline, "data": TripData, "steps": steps, **more
    })  # fmt: skip


@pytest.mark.parametrize("steps", [[HOTEL, FLIGHT, CHARGE, TICKET], [HOTEL, FLIGHT], [HOTEL, CHARGE]])
def test_a_right_definition(steps: list[Step]) -> None:
    saga = define(steps)
    assert find_saga(saga.name, 1) is saga
    assert find_saga(saga.name, 2) is None


@pytest.mark.parametrize(
    ("steps", "fault"),
    [
        ([], "at least one step"),
        ([CHARGE, HOTEL], "in this order"),
        ([HOTEL, TICKET, CHARGE], "in this order"),
        ([HOTEL, CHARGE, pivot("again", ChargeTrip)], "at most one pivot"),
        ([HOTEL, FLIGHT, TICKET], "a retriable step follows a pivot"),
        ([HOTEL, compensatable("hotel", BookFlight, undo=CancelFlight)], "two steps are called hotel"),
        ([CHARGE], "ChargeTrip.booking of step charge is neither in the saga's data"),
        (
            [HOTEL, compensatable("other", BookHotel, undo=CancelHotel), CHARGE],
            r"could come from hotel \(HotelBooked\) and other \(HotelBooked\)",
        ),
        ([HOTEL, CHARGE, retriable("flight", BookFlight)], "may not be refused"),
        (
            [compensatable("hotel", BookHotel, undo=ChargeTrip)],
            "carries ids of the saga's data only; not there: booking",
        ),
    ],
)
def test_a_wrong_definition_is_refused_with_what_is_wrong(steps: list[Step], fault: str) -> None:
    with pytest.raises(DefinitionError, match=fault):
        define(steps)


def test_what_an_undo_announces_is_known_without_its_handler() -> None:
    """Rule 7: an undo that found nothing to undo still announces itself, from its command alone."""

    @dataclass(frozen=True, kw_only=True)
    class CancelHotelLoudly(Command):
        service: ClassVar[str] = "inventory"
        done: ClassVar[type[Reply]] = HotelBooked
        trip: UUID

    with pytest.raises(DefinitionError, match="only its command's fields"):
        define([compensatable("hotel", BookHotel, undo=CancelHotelLoudly)])


@pytest.mark.parametrize("missing", ["deadline", "data", "steps"])
def test_what_is_missing_is_named(missing: str) -> None:
    parts: dict[str, Any] = {"name": "gap", "version": 1, "deadline": 900, "data": TripData, "steps": [HOTEL]}
    del parts[missing]
    with pytest.raises(DefinitionError, match=f"`{missing}` is missing"):
        type("Gap", (Saga,), parts)


@pytest.mark.parametrize("deadline", [30, 24 * 3600 + 1])
def test_the_order_of_patience_is_checked(deadline: float) -> None:
    """Rule 18: a saga that would be stopped while its steps are still tried is refused."""
    with pytest.raises(DefinitionError, match="must give up before"):
        define([HOTEL], deadline=deadline)


def test_a_version_is_defined_once() -> None:
    """Rule 24: running sagas keep their definition, so that a change needs a new version."""
    with pytest.raises(DefinitionError, match="raise the version"):
        define([HOTEL], name="trip")
    assert find_saga("trip", 1) is Trip


def test_where_the_fields_of_a_command_come_from() -> None:
    """From the saga's data first, else from the one earlier step whose reply has it; a default needs no source."""
    assert field_sources(Trip, Trip.steps[0], BookHotel) == {}
    assert field_sources(Trip, Trip.steps[1], BookFlight) == {}
    assert field_sources(Trip, Trip.steps[2], ChargeTrip) == {"booking": "hotel"}
    assert field_sources(Trip, Trip.steps[3], IssueTicket) == {"seat": "flight"}


@dataclass(frozen=True, kw_only=True)
class GuideBooked(Reply):
    """`nights` stands in the saga's data as well, and `booking` in the hotel's reply."""

    service: ClassVar[str] = "shipment"
    nights: int
    booking: UUID


@dataclass(frozen=True, kw_only=True)
class BookGuide(Command):
    service: ClassVar[str] = "shipment"
    done: ClassVar[type[Reply]] = GuideBooked
    trip: UUID


@dataclass(frozen=True, kw_only=True)
class BookGuideByBooking(BookGuide):
    """Its reply gives the booking back."""

    booking: UUID


def test_a_second_value_of_a_field_that_a_command_takes_is_refused_with_what_to_write() -> None:
    guide = compensatable("guide", BookGuide, undo=CancelFlight)
    with pytest.raises(DefinitionError, match=r"hotel \(HotelBooked\) and guide \(.*such as guide_booking\."):
        define([HOTEL, guide, CHARGE])
    late = compensatable("hotel", BookHotel, undo=CancelHotel)  # it takes `nights`, which the guide changed
    with pytest.raises(DefinitionError, match=r"the saga's data \(TripData\) and guide \(.*guide_nights\."):
        define([guide, late])
    twin = compensatable("other", BookHotel, undo=CancelHotel)
    with pytest.raises(DefinitionError, match=r"other_booking, and step other a command of its own\."):
        define([HOTEL, twin, CHARGE])
    define([HOTEL, guide])  # nothing takes the field


def test_a_reply_may_give_back_what_its_command_took() -> None:
    guide = compensatable("guide", BookGuideByBooking, undo=CancelFlight)
    saga = define([HOTEL, guide, CHARGE])
    assert field_sources(saga, CHARGE, ChargeTrip) == {"booking": "hotel"}


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        ({}, "Say names no reply; write done = … in it"),
        ({"done": GuideBooked}, "or the same service = … in both"),
        ({"done": BookHotel}, "BookHotel is no Reply; write class BookHotel\\(Reply\\)"),
        ({"done": HotelBooked, "refused": HotelBooked}, "HotelBooked is no Refusal"),
        ({"done": HotelBooked, "service": "hotel2"}, "hotel2.say on the wire; write its name"),
    ],
)
def test_a_command_that_cannot_be_sent_or_answered_is_refused(parts: dict[str, Any], fault: str) -> None:
    fields = {"__annotations__": {"trip": UUID}, "service": "inventory", **parts}
    say = dataclass(frozen=True, kw_only=True)(type("Say", (Command,), fields))
    with pytest.raises(DefinitionError, match=f"step say: .*{fault}"):
        define([retriable("say", say)])


def test_a_command_without_its_decorator_is_refused() -> None:
    bare = type("Say", (Command,), {"service": "inventory", "done": HotelBooked})
    with pytest.raises(DefinitionError, match="write @dataclass"):
        define([retriable("say", bare)])
    with pytest.raises(DefinitionError, match="Say has no field"):
        define([retriable("say", dataclass(frozen=True)(bare))])


def test_steps_are_known_by_name() -> None:
    assert [Trip.index(s.name) for s in Trip.steps] == [0, 1, 2, 3]
    assert (Trip.pivot_index(), Holiday.pivot_index()) == (2, 2)


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("name", "", "`name` is a text of 1 to 80 letters, not ''"),
        ("name", "n" * 81, "`name` is a text"),
        ("version", "1", "`version` is a whole number from 1 to 32767, not '1'"),
        ("version", 0, "`version` is a whole number from 1 to 32767, not 0"),
        ("version", True, "`version` is a whole number from 1 to 32767, not True"),
        ("deadline", "900", "`deadline` is a number of seconds, not '900'"),
        ("data", {"trip": 1}, "`data` is a dataclass, not {'trip': 1}"),
        ("data", trip_data(nights=3), "`data` is a dataclass"),
        ("version", 40_000, "`version` is a whole number from 1 to 32767, not 40000"),
        (
            "steps",
            [compensatable("h" * 81, BookHotel, undo=CancelHotel)],
            "a step has a name of 1 to 80 letters",
        ),
        ("steps", [BookHotel], "is no step; write compensatable"),
    ],
)
def test_a_value_of_another_kind_is_told(field: str, value: Any, fault: str) -> None:
    with pytest.raises(DefinitionError, match=re.escape(fault)):
        define(**{"steps": [HOTEL], field: value})


class TestCallbacks:
    def test_may_be_left_out(self) -> None:
        saga = define([HOTEL])
        saga.on_completed([(None, {})])
        saga.on_compensated([(None, {})])

    @pytest.mark.parametrize("name", ["on_completed", "on_compensated"])
    @pytest.mark.parametrize("callback", [lambda: None, lambda data, replies: None, "confirm"])
    def test_one_that_the_engine_cannot_call_is_refused(self, name: str, callback: Any) -> None:
        with pytest.raises(DefinitionError, match=f"`{name}` is a function of one list"):
            define([HOTEL], **{name: callback})
