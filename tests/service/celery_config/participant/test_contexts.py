"""A handler with a second parameter learns which step it carries out, so that it touches nothing of another saga."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery.app.task import Context
from django.contrib.auth.models import Group

from celery_config.contracts.base import command_id
from celery_config.messaging.barrier.context import StepContext, takes_context
from celery_config.messaging.barrier.steps import Handler, LocalStep, StepRequest
from celery_config.messaging.deliveries import Delivery
from celery_config.participant.handlers import OneByOne, StepMessage, decode_step, one_by_one
from tests.service import alone
from tests.trip import BookHotel, CancelHotel, ChargeTrip, HotelBooked, TripCharged

pytestmark = pytest.mark.django_db(transaction=True)
ROOM = "room 12"


def book_room(command: BookHotel, context: StepContext) -> HotelBooked:
    """Each step has a booking of its own of the one room, under the step's id."""
    Group.objects.create(name=f"{ROOM}/{context.id}")
    return HotelBooked(booking=context.id)


def cancel_room(command: CancelHotel, context: StepContext) -> None:
    Group.objects.filter(name=f"{ROOM}/{context.id}").delete()


def book_rooms(commands: Sequence[BookHotel], contexts: Sequence[StepContext]) -> list[HotelBooked]:
    return [book_room(*each) for each in zip(commands, contexts, strict=True)]


def cancel_rooms(commands: Sequence[CancelHotel], contexts: Sequence[StepContext]) -> list[None]:
    return [cancel_room(*each) for each in zip(commands, contexts, strict=True)]


def list_bookings() -> list[str]:
    return [*Group.objects.filter(name__startswith=ROOM).values_list("name", flat=True)]


@pytest.mark.parametrize(
    ("book", "cancel"),
    [(one_by_one(book_room), one_by_one(cancel_room)), (book_rooms, cancel_rooms)],
)
def test_the_undo_of_a_second_saga_leaves_what_the_first_has_booked(
    book: LocalStep, cancel: LocalStep
) -> None:
    trip, first, second = uuid4(), uuid4(), uuid4()
    action, undo = Handler(BookHotel, local=book), Handler(CancelHotel, local=cancel)

    def find(name: str) -> Handler | None:
        return {each.command.wire_name(): each for each in (action, undo)}.get(name)

    def act(saga: UUID) -> Any:
        return alone.act(action, StepRequest(saga, "hotel", "do", str(trip), BookHotel(trip=trip, nights=2)))

    kept, given_back = act(first), act(second)
    assert kept != given_back
    assert len(list_bookings()) == 2
    alone.undo(undo, StepRequest(second, "hotel", "undo", str(trip), CancelHotel(trip=trip)), find)
    assert list_bookings() == [f"{ROOM}/{kept['booking']}"]


def test_what_a_step_outside_sends_may_name_its_step() -> None:
    class Charge(OneByOne):
        def request(self, command: ChargeTrip, context: StepContext) -> dict[str, Any]:
            return {"trip": str(command.trip), "reference": str(context.key)}

        def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
            return {"same": request["reference"] == str(key)}

        def settle_one(self, request: dict[str, Any], answer: dict[str, Any]) -> TripCharged:
            assert answer["same"], "the key is that with which the engine calls"
            return TripCharged(charge=UUID(request["reference"]))

    saga, trip = uuid4(), uuid4()
    step = StepRequest(saga, "charge", "do", str(trip), ChargeTrip(trip=trip, booking=trip))
    assert alone.act(Handler(ChargeTrip, outside=Charge()), step) == {
        "charge": str(command_id(saga, "charge", "do"))
    }


def test_an_action_and_its_undo_have_one_id_and_two_keys() -> None:
    saga = uuid4()
    do, undo = StepContext.make(saga, "hotel"), StepContext.make(saga, "hotel", "undo", number=3)
    assert do.id == undo.id != StepContext.make(uuid4(), "hotel").id
    assert (do.key, undo.key) == (command_id(saga, "hotel", "do"), command_id(saga, "hotel", "undo"))
    asked = StepRequest(saga, "hotel", "undo", "", number=3)
    assert asked.context == undo


def test_the_number_of_a_try_is_that_of_its_message() -> None:
    command = {"trip": str(uuid4()), "nights": 2}
    message = StepMessage(saga=uuid4(), step="hotel", operation="do", attempt=0, command=command)
    step = decode_step(Handler(BookHotel), Delivery(Context(retries=2), message, {}))
    assert step.context == StepContext.make(message.saga, "hotel", number=3)


def test_who_gets_a_context() -> None:
    def with_a_default(command: BookHotel, retries: int = 3) -> None: ...

    def by_name(command: BookHotel, context: StepContext | None = None) -> None: ...

    def many(*commands: BookHotel) -> None: ...

    assert takes_context(book_room)
    assert takes_context(by_name)
    assert takes_context(one_by_one(book_room))
    assert not takes_context(with_a_default)
    assert not takes_context(many)
    assert not takes_context(one_by_one(lambda command: None))
