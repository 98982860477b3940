"""What is left of messages about somebody who was forgotten, and the saga that has no way back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

import pytest

from celery_config.contracts.base import Command, Reply, decode, encode
from celery_config.contracts.order import CustomerChanged, OrderPlaced
from celery_config.contracts.payment import AuthorizePayment
from celery_config.contracts.privacy import NO_CUSTOMER
from celery_config.contracts.shipment import BookShipment
from celery_config.contracts.values import Address, Line
from celery_config.erasure.redaction import redact
from celery_config.saga.dsl import Saga, minutes, retriable
from celery_config.saga.engine.machine import (
    IGNORE,
    CancelRequested,
    Completed,
    Decision,
    Drive,
    Resume,
    Retry,
    StepFailed,
    View,
    WatchdogFired,
    decide,
    first_status,
)
from celery_config.saga.states import Status, StepState
from celery_config.saga.testing import Schedules, given
from tests.trip import Trip

pytest_plugins = ["celery_config.saga.testing.plugin"]
ID = UUID(int=7)
HOME = Address(
    name="Ada Example", line1="1 Harbour Street", line2="Flat 3", city="Dublin", region="Leinster",
    postal_code="D02 X285", country="IE",
)  # fmt: skip
SAID = (
    CustomerChanged(
        customer=ID, name="Ada", email="ada@example.com", currency="EUR", billing_address=HOME, delivery_address=None,
        version=3,
    ),
    OrderPlaced(
        order=ID, customer=ID, amount=1, currency="EUR", payment_token="tok_secret",
        lines=(Line(sku="TEA", quantity=2),), address=HOME, weight_grams=1, parcels=1,
    ),
    AuthorizePayment(order=ID, customer=ID, amount=1, currency="EUR", payment_token="tok_secret"),
    BookShipment(order=ID, address=HOME, weight_grams=1),
)  # fmt: skip
PERSONAL = ("Ada", "ada@example.com", "Harbour", "Flat 3", "Dublin", "Leinster", "D02", "tok_secret")


class TestWhatIsLeftOfAMessage:
    @pytest.mark.parametrize("said", SAID, ids=lambda said: type(said).__name__)
    def test_nothing_personal_and_still_the_same_contract(self, said: Any) -> None:
        left = redact(encode(said))
        assert not [word for word in PERSONAL if word in json.dumps(left)]
        assert type(decode(type(said), left)) is type(said)
        assert redact(left) == left

    def test_what_books_need_stays(self) -> None:
        left = decode(OrderPlaced, redact(encode(SAID[1])))
        assert (left.order, left.amount, left.lines, left.address.country) == (
            ID, 1, (Line(sku="TEA", quantity=2),), "IE",
        )  # fmt: skip
        assert left.customer == NO_CUSTOMER

    def test_a_reason_is_free_text(self) -> None:
        cause = {"step": "", "code": "cancelled", "reason": "cancelled by ada"}
        assert redact(cause) == {"step": "", "code": "cancelled", "reason": ""}

    @pytest.mark.parametrize("value", [None, {}, [], 3, "text", {"name": None}, {"name": {"sku": 1}}])
    def test_what_is_not_personal_is_as_it_was(self, value: Any) -> None:
        assert redact(value) == value


@dataclass(frozen=True, kw_only=True)
class Burned(Reply):
    service: ClassVar[str] = "payment"
    letter: UUID


@dataclass(frozen=True, kw_only=True)
class Burn(Command):
    service: ClassVar[str] = "payment"
    done: ClassVar[type[Reply]] = Burned
    letter: UUID


@dataclass(frozen=True, kw_only=True)
class Letters:
    letter: UUID


class BurnLetters(Saga):
    """Retriable steps alone."""

    name, version, deadline, data = "burn-letters", 1, minutes(15), Letters
    steps = [retriable("burn-mine", Burn), retriable("burn-yours", Burn)]


def views() -> Iterator[View]:
    for status in Status:
        for late in (False, True):
            yield View(status, {"burn-mine": StepState.DONE}, past_deadline=late)


class TestTheSagaWithoutAWayBack:
    def test_it_begins_beyond_its_point_of_no_return(self) -> None:
        assert first_status(BurnLetters) is Status.FORWARD
        assert first_status(Trip) is Status.RUNNING

    @pytest.mark.parametrize(
        "came", [CancelRequested(), WatchdogFired(), Retry(), StepFailed("burn-yours", "do"), Completed()]
    )
    def test_nothing_stops_it(self, came: Any) -> None:
        reached = [
            decide(BurnLetters, view, came).status for view in views() if view.status is not Status.RUNNING
        ]
        assert not {Status.STOPPING, Status.COMPENSATED} & set(reached)

    def test_it_ends_when_all_is_done(self) -> None:
        done = given(BurnLetters, Letters(letter=ID)).expect(Burn).when(Burned(letter=ID))
        done.expect(Burn, letter=ID).when(Burned(letter=ID)).ends("completed")

    def test_every_short_schedule_and_many_long_ones_end_so(self, schedules: Schedules) -> None:
        """Whatever is lost, repeated, killed, cancelled or late."""
        short = schedules.check_all(BurnLetters, departures=2)
        assert set(short.ends) == {"completed"}
        assert short.schedules > 2_000
        long = schedules.check(BurnLetters, count=1_000, seed=5)
        assert set(long.ends) == {"completed", "parked"}

    def test_neither_its_deadline_nor_an_operator_stops_it(self) -> None:
        late = View(Status.FORWARD, past_deadline=True)
        assert decide(BurnLetters, late, WatchdogFired()) == Decision(send=Drive("burn-mine"))
        assert decide(BurnLetters, late, CancelRequested()) == IGNORE

    def test_parked_it_can_only_be_resumed(self) -> None:
        parked = View(Status.PARKED, {"burn-mine": StepState.DONE})
        assert decide(BurnLetters, parked, Retry()) == IGNORE
        assert decide(BurnLetters, parked, Resume()) == Decision(Status.FORWARD, Drive("burn-yours"))
        assert decide(BurnLetters, parked, Completed()) == Decision(Status.COMPLETED)
