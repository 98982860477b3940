"""Webhooks settle a doubt once, as the call's answer would, and only where the facts fit (rule 8, effects outside)."""

from __future__ import annotations

import threading
from typing import Any
from uuid import UUID, uuid4

import pytest

from celery_config.errors import OutcomeUnknown, Refused, StepSuperseded
from celery_config.messaging.barrier import webhooks
from celery_config.messaging.barrier.webhooks import NotificationResult, OutcomeNotification
from celery_config.messaging.models import Contradiction
from tests.service.celery_config.conftest import Bank, unknown
from tests.service.together import concurrent, in_background, together, until_waiting_for_a_lock
from tests.trip import CancelHotel, ChargeTrip, IssueTicket

pytestmark = pytest.mark.django_db(transaction=True)
RACES = 25
DECLINED = Refused("card_declined", "the bank said no")


def notification(bank: Bank, operation: str = "do", **changes: Any) -> OutcomeNotification:
    """What the provider says about the bank's one call."""
    fields: dict[str, Any] = {
        "event": "evt_1",
        "kind": "charge.made",
        "key": bank.step(operation, None).id,
        "command": ChargeTrip,
        "subject": bank.trip,
        "facts": {"trip": str(bank.trip)} | ({"rate": 100} if operation == "do" else {}),
        "answer": {"provider_id": f"ch_{bank.key.hex[:8]}"} if operation == "do" else {},
        "undo": None if operation == "do" else CancelHotel(trip=bank.trip),
    }
    return OutcomeNotification(**(fields | changes))


def receive(bank: Bank, told: OutcomeNotification) -> NotificationResult:
    return webhooks.receive_notification(bank.handlers.get, told)


def doubt(bank: Bank, operation: str = "do") -> None:
    """Leave an open intent behind, whose call the provider carried out."""
    bank.provider.after = unknown
    with pytest.raises(OutcomeUnknown):
        bank.act() if operation == "do" else bank.undo()


def reasons() -> list[str]:
    return list(Contradiction.objects.values_list("reason", flat=True))


class TestDoubt:
    def test_is_settled_once_with_reply_rows_and_event(self, bank: Bank) -> None:
        doubt(bank)
        assert [receive(bank, notification(bank)) for _ in range(3)] == [
            NotificationResult.SETTLED,
            NotificationResult.KNOWN,
            NotificationResult.KNOWN,
        ]
        assert (bank.row.action, bank.events, bank.payments) == ("done", ["done"], 1)
        assert (
            bank.act() == bank.row.reply
        )  # the worker's own next try: the chain goes on with the stored reply
        assert (len(bank.provider.calls), reasons()) == (1, [])

    def test_of_a_refusal_too(self, bank: Bank) -> None:
        bank.provider.refuses = True
        doubt(bank)
        assert receive(bank, notification(bank, answer=DECLINED)) is NotificationResult.SETTLED
        assert (bank.row.action, bank.events, bank.payments) == ("refused", ["refused"], 0)
        with pytest.raises(Refused, match="card_declined"):
            bank.act()

    def test_while_the_answer_is_still_on_its_way(self, bank: Bank) -> None:
        """The event comes before the reply; the reply then finds itself known."""
        bank.provider.after = lambda: told.append(receive(bank, notification(bank)))
        told: list[NotificationResult] = []
        reply = bank.act()
        assert told == [NotificationResult.SETTLED]
        assert (bank.row.reply, bank.events, bank.payments) == (reply, ["done"], 1)

    def test_of_a_refusal_while_the_answer_is_still_on_its_way(self, bank: Bank) -> None:
        """The chain's errback fires all the same."""
        bank.provider.refuses = True
        bank.provider.after = lambda: told.append(receive(bank, notification(bank, answer=DECLINED)))
        told: list[NotificationResult] = []
        with pytest.raises(Refused, match="card_declined"):
            bank.act()
        assert told == [NotificationResult.SETTLED]
        assert (bank.row.action, bank.events, bank.payments) == ("refused", ["refused"], 0)

    def test_of_an_undo_while_its_answer_is_still_on_its_way(self, bank: Bank) -> None:
        bank.act()
        bank.provider.after = lambda: told.append(receive(bank, notification(bank, "undo")))
        told: list[NotificationResult] = []
        bank.undo()
        assert told == [NotificationResult.SETTLED]
        assert (bank.row.undo, bank.events, bank.payments) == ("done", ["done", "undone"], 0)

    def test_of_what_a_repeated_call_denies(self, bank: Bank) -> None:
        """What the event told was done is undone, though the call that settles the doubt is refused now."""
        doubt(bank)
        bank.provider.books.clear()  # its key is forgotten
        bank.provider.refuses = True
        bank.provider.before = lambda: told.append(receive(bank, notification(bank)))
        told: list[NotificationResult] = []
        bank.undo()
        assert told == [NotificationResult.SETTLED]
        assert (bank.row.action, bank.row.undo, bank.payments) == ("done", "done", 0)
        assert bank.provider.keys("cancel")

    def test_after_the_undo_has_begun(self, bank: Bank) -> None:
        doubt(bank)
        bank.provider.before = lambda: told.append(receive(bank, notification(bank)))
        told: list[NotificationResult] = []
        bank.undo()
        assert told == [NotificationResult.SETTLED]
        assert (bank.row.action, bank.row.undo, bank.payments) == ("done", "done", 0)
        assert bank.provider.books == {bank.key: "cancelled"}

    def test_of_a_pivot_lets_the_fence_say_that_it_ran(self, bank: Bank) -> None:
        doubt(bank)
        receive(bank, notification(bank))
        assert bank.fence() is True
        assert len(bank.provider.calls) == 1

    def test_of_an_undo(self, bank: Bank) -> None:
        bank.act()
        doubt(bank, "undo")
        told = [receive(bank, notification(bank, "undo")) for _ in range(2)]
        assert told == [NotificationResult.SETTLED, NotificationResult.KNOWN]
        assert (bank.row.undo, bank.events, bank.payments) == ("done", ["done", "undone"], 0)
        bank.undo()
        assert bank.events == ["done", "undone"]


class TestEcho:
    def test_of_what_is_known_changes_nothing(self, bank: Bank) -> None:
        bank.act()
        assert receive(bank, notification(bank)) is NotificationResult.KNOWN
        assert (bank.events, bank.payments) == (["done"], 1)

    def test_of_what_was_undone_long_since(self, bank: Bank) -> None:
        bank.act()
        bank.undo()
        assert receive(bank, notification(bank)) is NotificationResult.KNOWN
        assert receive(bank, notification(bank, "undo")) is NotificationResult.KNOWN
        assert (bank.row.undo, bank.events, bank.payments, reasons()) == ("done", ["done", "undone"], 0, [])

    def test_of_an_undo_that_nobody_asked_for(self, bank: Bank) -> None:
        bank.act()
        assert receive(bank, notification(bank, "undo")) is NotificationResult.KNOWN
        assert (bank.row.undo, bank.payments) == ("", 1)


class TestContradiction:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"facts": {"rate": 1}}, "rate: asked 100, reported 1"),
            ({"facts": {"trip": str(UUID(int=9))}}, "trip: asked"),
            ({"key": UUID(int=5)}, "no call of ours"),
            ({"command": IssueTicket}, "the key is that of payment.charge_trip"),
        ],
    )
    def test_of_a_doubt_leaves_the_doubt(self, bank: Bank, changes: dict[str, Any], reason: str) -> None:
        doubt(bank)
        for _ in range(2):
            assert receive(bank, notification(bank, **changes)) is NotificationResult.CONTRADICTS
        assert (bank.row.action, bank.events, bank.payments) == ("intent", [], 0)
        (kept,) = reasons()
        assert reason in kept

    def test_of_a_tombstone_does_not_wake_it(self, bank: Bank) -> None:
        """The event reports a call that we never made."""
        bank.undo()
        assert receive(bank, notification(bank)) is NotificationResult.CONTRADICTS
        assert (bank.row.action, bank.payments, reasons()) == (
            "tombstone",
            0,
            [f"charge of saga {bank.saga} is tombstone here"],
        )
        with pytest.raises(StepSuperseded):
            bank.act()

    def test_of_done_with_refused_and_the_other_way_round(self, bank: Bank) -> None:
        bank.act()
        assert receive(bank, notification(bank, answer=DECLINED)) is NotificationResult.CONTRADICTS
        other = Bank()
        other.provider.refuses = True
        with pytest.raises(Refused):
            other.act()
        assert receive(other, notification(other, event="evt_2")) is NotificationResult.CONTRADICTS
        assert (bank.row.action, other.row.action, len(reasons())) == ("done", "refused", 2)

    def test_by_our_own_rows_takes_back_what_was_written(self, bank: Bank) -> None:
        """Another row has that charge already: the handler's insert fails."""
        doubt(bank)
        other = Bank()
        other.trip = bank.trip
        other.act()
        stolen = {"provider_id": f"ch_{other.key.hex[:8]}"}
        assert receive(bank, notification(bank, answer=stolen)) is NotificationResult.CONTRADICTS
        assert (bank.row.action, bank.events) == ("intent", [])
        bank.act()
        assert bank.row.action == "done"

    def test_of_an_undo(self, bank: Bank) -> None:
        bank.act()
        doubt(bank, "undo")
        assert (
            receive(bank, notification(bank, "undo", facts={"trip": "another"}))
            is NotificationResult.CONTRADICTS
        )
        assert bank.row.undo == "intent"


@concurrent
class TestRaces:
    def test_events_and_the_answer_at_once(self, bank: Bank) -> None:
        for _ in range(RACES):
            one = Bank()
            doubt(one)
            results = together(one.act, *[lambda b=one: receive(b, notification(b))] * 3, one.act)
            assert not [r for r in results if isinstance(r, Exception)], results
            assert (one.row.action, one.events, one.payments) == ("done", ["done"], 1)
            assert results[0] == results[-1] == one.row.reply
            assert len(set(one.provider.books)) == 1
        assert reasons() == []

    def test_events_and_the_undo_at_once(self, bank: Bank) -> None:
        for _ in range(RACES):
            one = Bank()
            doubt(one)
            results = together(one.undo, *[lambda b=one: receive(b, notification(b))] * 3)
            assert not [r for r in results if isinstance(r, Exception)], results
            assert (one.row.undo, one.payments, one.provider.books) == ("done", 0, {one.key: "cancelled"})
        assert reasons() == []

    def test_events_and_the_fence_at_once(self, bank: Bank) -> None:
        for _ in range(RACES):
            one = Bank()
            doubt(one)
            results = together(one.fence, *[lambda b=one: receive(b, notification(b))] * 2)
            assert (results[0], one.row.action, one.payments) == (True, "done", 1)
            assert one.events.count("done") == 1

    def test_the_answer_waits_for_the_event_that_has_the_row(
        self, bank: Bank, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        doubt(bank)
        settle, entered, go = bank.charge.settle, threading.Event(), threading.Event()

        def slowly(*args: Any) -> Any:
            entered.set()
            assert go.wait(20)
            return settle(*args)

        monkeypatch.setattr(bank.charge, "settle", slowly)
        event = in_background(lambda: receive(bank, notification(bank)))
        assert entered.wait(20)
        answer = in_background(bank.act)
        until_waiting_for_a_lock()
        go.set()
        assert (event.result(20), answer.result(20)) == (NotificationResult.SETTLED, bank.row.reply)
        assert (bank.events, bank.payments) == (["done"], 1)

    def test_the_same_contradiction_at_once_is_kept_once(self, bank: Bank) -> None:
        doubt(bank)
        wrong = notification(bank, event=str(uuid4()), facts={"rate": 1})
        assert together(*[lambda: receive(bank, wrong)] * 6) == [NotificationResult.CONTRADICTS] * 6
        assert len(reasons()) == 1
