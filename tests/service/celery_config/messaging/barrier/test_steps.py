"""A local step: barrier, work and event in one transaction; its undo; its fence."""

from __future__ import annotations

from uuid import uuid4

import pytest
from celery.exceptions import Reject
from django.db import transaction

from celery_config.broker.topology import route_task
from celery_config.errors import CommandConflict, Refused, StepSuperseded
from celery_config.messaging.barrier.fences import PIVOT_FENCED, PIVOT_RAN
from celery_config.messaging.barrier.steps import Handler, StepRequest
from celery_config.messaging.models import BarrierRow, OutboxMessage
from celery_config.participant.handlers import one_by_one
from tests.service import alone
from tests.service.celery_config.conftest import Hotel, issue_ticket
from tests.service.together import concurrent, together
from tests.trip import IssueTicket

pytestmark = pytest.mark.django_db
RACES = 40


class TestAction:
    def test_done(self, hotel: Hotel) -> None:
        """Rule 6 (outcomes): domain change, event and reply together."""
        reply = hotel.act()
        assert hotel.bookings == 1
        assert (hotel.row.action, hotel.row.reply) == ("done", reply)
        assert hotel.events == ["done"]

    def test_its_event_carries_the_full_reply_and_says_which_step(self, hotel: Hotel) -> None:
        """Rule 16 (the saga log): a CloudEvent whose id is fixed, so that a repeat is recognised."""
        reply = hotel.act()
        event = OutboxMessage.objects.get().payload
        assert event["data"] == reply
        assert event["type"] == "inventory.hotel_booked"
        assert [event[k] for k in ("saga", "step", "operation", "outcome")] == [
            str(hotel.saga),
            "hotel",
            "do",
            "done",
        ]
        assert (event["subject"], event["specversion"]) == (str(hotel.trip), "1.0")

    def test_a_repeat_is_answered_from_the_row(self, hotel: Hotel) -> None:
        """Rule 6 (outcomes)."""
        assert hotel.act() == hotel.act()
        assert (hotel.bookings, hotel.events) == (1, ["done"])

    def test_a_repeat_is_answered_though_the_work_would_fail_now(self, hotel: Hotel) -> None:
        """Rule 6 (outcomes): a step that is done says so, whatever doing it again would run into."""
        reply = hotel.act()
        hotel.broken = RuntimeError("there is no such room any more")
        assert hotel.act() == reply
        assert (hotel.bookings, hotel.events) == (1, ["done"])

    def test_a_refusal_is_stored_announced_and_given_again(self, hotel: Hotel) -> None:
        """Rule 6 (outcomes): back to the savepoint, stored, then raised; a room free again changes nothing."""
        hotel.full = True
        with pytest.raises(Refused, match="hotel_full"):
            hotel.act()
        hotel.full = False
        with pytest.raises(Refused, match="no room left"):
            hotel.act()
        assert (hotel.bookings, hotel.row.action, hotel.events) == (0, "refused", ["refused"])
        assert hotel.row.reply == {"code": "hotel_full", "reason": "no room left"}

    def test_an_error_leaves_nothing_behind(self, hotel: Hotel) -> None:
        """Rule 6 (outcomes): no row, so that the next try is a first try."""
        hotel.broken = ValueError("disk full")
        with pytest.raises(ValueError, match="disk full"):
            hotel.act()
        assert (hotel.bookings, hotel.events, BarrierRow.objects.count()) == (0, [], 0)
        hotel.broken = None
        assert hotel.act()

    def test_a_crash_before_the_commit_leaves_nothing_behind(self, hotel: Hotel) -> None:
        """Rule 6 (outcomes): one transaction, the event included."""
        with transaction.atomic():
            hotel.act()
            transaction.set_rollback(True)
        assert (hotel.bookings, hotel.events, BarrierRow.objects.count()) == (0, [], 0)

    def test_other_contents_under_one_id_are_a_conflict_for_a_human(self, hotel: Hotel) -> None:
        """Rule 5 (the barrier): neither is trusted; the message goes to the dead letters and the row stays."""
        reply = hotel.act(nights=3)
        with pytest.raises(Reject) as rejected:
            hotel.act(nights=4)
        assert isinstance(rejected.value.reason, CommandConflict)
        assert not rejected.value.requeue
        assert (hotel.row.reply, hotel.bookings, hotel.events) == (reply, 1, ["done"])

    def test_a_retriable_step_may_not_refuse(self) -> None:
        """Rule 6 (outcomes): it is an error, not stored, tried again."""
        step = StepRequest(uuid4(), "ticket", "do", "t", IssueTicket(trip=uuid4(), seat="1A"))
        with pytest.raises(RuntimeError, match="IssueTicket may not be refused") as error:
            alone.act(Handler(IssueTicket, local=one_by_one(issue_ticket)), step)
        assert isinstance(error.value.__cause__, Refused)
        assert not BarrierRow.objects.exists()
        assert not OutboxMessage.objects.exists()

    @concurrent
    def test_twins_at_once(self, hotel: Hotel) -> None:
        """Rule 5 (the barrier): one effect, one event, one reply for all."""
        replies = together(*[hotel.act] * 6)
        assert replies == [hotel.row.reply] * 6
        assert (hotel.bookings, hotel.events) == (1, ["done"])

    @concurrent
    def test_refused_twins_at_once(self, hotel: Hotel) -> None:
        hotel.full = True
        assert [type(r) for r in together(*[hotel.act] * 6)] == [Refused] * 6
        assert (hotel.bookings, hotel.events) == (0, ["refused"])


class TestUndo:
    def test_of_what_was_done(self, hotel: Hotel) -> None:
        """Rule 7 (the undo)."""
        hotel.act()
        hotel.undo()
        assert (hotel.bookings, hotel.row.action, hotel.row.undo) == (0, "done", "done")
        assert hotel.events == ["done", "undone"]

    def test_a_repeat_changes_nothing(self, hotel: Hotel) -> None:
        """Rule 7 (the undo)."""
        hotel.act()
        hotel.undo()
        hotel.broken = AssertionError("the handler is not called again")
        hotel.undo()
        assert hotel.events == ["done", "undone"]

    def test_of_what_never_ran_is_a_tombstone(self, hotel: Hotel) -> None:
        """Rule 7 (the undo): the late action is refused for ever."""
        hotel.undo()
        assert (hotel.row.action, hotel.row.undo, hotel.events) == ("tombstone", "done", ["undone"])
        for _ in range(2):
            with pytest.raises(StepSuperseded):
                hotel.act()
        assert hotel.bookings == 0

    def test_a_repeat_of_an_undone_action_is_refused(self, hotel: Hotel) -> None:
        """Rule 6 (outcomes): its stored reply would send the chain on."""
        hotel.act()
        hotel.undo()
        with pytest.raises(StepSuperseded):
            hotel.act()
        assert hotel.bookings == 0

    def test_of_what_was_refused(self, hotel: Hotel) -> None:
        """Rule 7 (the undo): nothing to undo; its handler is not called."""
        hotel.full = True
        with pytest.raises(Refused):
            hotel.act()
        hotel.broken = AssertionError("nothing to undo")
        hotel.undo()
        assert (hotel.row.action, hotel.row.undo, hotel.events) == ("refused", "done", ["refused", "undone"])

    def test_one_that_fails_leaves_the_effect_as_it_was(self, hotel: Hotel) -> None:
        hotel.act()
        hotel.broken = ValueError("disk full")
        with pytest.raises(ValueError, match="disk full"):
            hotel.undo()
        assert (hotel.bookings, hotel.row.undo, hotel.events) == (1, "", ["done"])

    def test_it_may_not_refuse(self, hotel: Hotel) -> None:
        """Rule 6 (outcomes): an error, tried again; a `Refused` would fire the errback at once."""
        hotel.act()
        hotel.broken = Refused("too_late", "the guest is here")
        with pytest.raises(RuntimeError, match="CancelHotel may not be refused"):
            hotel.undo()
        assert (hotel.bookings, hotel.row.undo) == (1, "")

    @concurrent
    def test_twins_at_once(self, hotel: Hotel) -> None:
        hotel.act()
        assert together(*[hotel.undo] * 4) == [None] * 4
        assert hotel.events == ["done", "undone"]

    @concurrent
    def test_a_race_with_its_action(self) -> None:
        """Rule 7 (the undo): whoever comes first, nothing is left and nothing can come after."""
        replied = 0
        for _ in range(RACES):
            hotel = Hotel()
            outcome, undone = together(hotel.act, hotel.undo)
            assert undone is None
            assert (hotel.bookings, hotel.row.undo) == (0, "done")
            if isinstance(outcome, dict):
                replied += 1
                assert hotel.events == ["done", "undone"]
            else:
                assert isinstance(outcome, StepSuperseded)
                assert hotel.events == ["undone"]
            with pytest.raises(StepSuperseded):
                hotel.act()
        assert replied < RACES, "the undo never came first: no race was run"


class TestFence:
    def test_of_what_never_ran(self, hotel: Hotel) -> None:
        """Rule 13 (the fence): it never will; the chain goes on to the undos."""
        assert hotel.fence() is False
        with pytest.raises(StepSuperseded):
            hotel.act()
        assert (hotel.bookings, hotel.row.action, hotel.events) == (0, "tombstone", [PIVOT_FENCED])
        word = OutboxMessage.objects.get(name=PIVOT_FENCED).payload
        assert word["kwargs"] == {"saga": str(hotel.saga), "step": "hotel", "service": "shipment"}

    def test_of_what_was_refused(self, hotel: Hotel) -> None:
        """Rule 13 (the fence)."""
        hotel.full = True
        with pytest.raises(Refused):
            hotel.act()
        assert hotel.fence() is False
        assert hotel.events == ["refused", PIVOT_FENCED]

    def test_of_what_ran(self, hotel: Hotel) -> None:
        """Rule 13 (the fence): its proof, with the reply, is promised to the orchestrator in the same transaction."""
        reply = hotel.act()
        with transaction.atomic():
            assert hotel.fence() is True
            transaction.set_rollback(True)
        assert hotel.events == ["done"]
        assert hotel.fence() is True
        assert hotel.events == ["done", PIVOT_RAN]
        proof = OutboxMessage.objects.get(name=PIVOT_RAN).payload
        assert proof["kwargs"] == {
            "saga": str(hotel.saga),
            "step": "hotel",
            "service": "shipment",
            "reply": reply,
        }
        assert proof["options"].items() >= route_task("order", PIVOT_RAN, urgent=True).items()

    def test_it_is_idempotent(self, hotel: Hotel) -> None:
        """Rule 13 (the fence): a tombstone it finds is a "never", again and again."""
        assert [hotel.fence() for _ in range(3)] == [False] * 3

    @concurrent
    def test_a_race_with_the_pivot(self) -> None:
        """Rule 13 (the fence): exactly one of them wins, and both know which."""
        ran_count = 0
        for _ in range(RACES):
            hotel = Hotel()
            outcome, ran = together(hotel.act, hotel.fence)
            assert ran is isinstance(outcome, dict)
            assert hotel.bookings == int(ran)
            assert hotel.events == (["done", PIVOT_RAN] if ran else [PIVOT_FENCED])
            assert ran or isinstance(outcome, StepSuperseded)
            ran_count += ran
        assert ran_count < RACES, "the fence never came first: no race was run"
