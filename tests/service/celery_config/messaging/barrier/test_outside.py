"""Effects outside: intent, call, result; repeating the call settles every doubt (rule 8, effects outside)."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from celery_config.errors import OutcomeUnknown, Refused, StepSuperseded
from celery_config.messaging.barrier.fences import PIVOT_FENCED, PIVOT_RAN
from tests.service.celery_config.conftest import Bank, Killed, killed, unknown
from tests.service.together import concurrent, in_background, together

pytestmark = pytest.mark.django_db(transaction=True)
RACES = 25


class TestAction:
    def test_done(self, bank: Bank) -> None:
        reply = bank.act()
        assert (bank.row.action, bank.row.reply, bank.events) == ("done", reply, ["done"])
        assert bank.payments == 1
        assert bank.provider.books == {bank.key: "charged"}

    def test_the_intent_is_committed_before_the_call_with_the_full_request(self, bank: Bank) -> None:
        """Rule 8 (effects outside)."""
        seen: list[Any] = []
        bank.provider.before = lambda: seen.append((bank.row.action, bank.row.request))
        bank.act()
        assert seen == [("intent", {"trip": str(bank.trip), "rate": 100})]

    def test_the_command_id_is_the_providers_key(self, bank: Bank) -> None:
        """Rule 2 (ids)."""
        bank.act()
        assert bank.provider.keys("charge") == {bank.row.key}

    def test_a_repeat_is_answered_without_a_call(self, bank: Bank) -> None:
        assert bank.act() == bank.act()
        assert (len(bank.provider.calls), bank.payments, bank.events) == (1, 1, ["done"])

    def test_a_refusal_is_stored_and_given_again_without_a_call(self, bank: Bank) -> None:
        bank.provider.refuses = True
        for _ in range(2):
            with pytest.raises(Refused, match="card_declined"):
                bank.act()
        assert (bank.row.action, bank.events, len(bank.provider.calls)) == ("refused", ["refused"], 1)

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("fault", [killed, unknown])
    def test_whatever_ends_the_call_it_is_repeated_with_the_same_key_and_request(
        self, bank: Bank, when: str, fault: Any
    ) -> None:
        """Rule 8 (effects outside): dead before the call or after it; timed out before it arrived, or after."""
        setattr(bank.provider, when, fault)
        with pytest.raises((Killed, OutcomeUnknown)):
            bank.act()
        assert (bank.row.action, bank.events, bank.payments) == ("intent", [], 0)
        bank.charge.rate = 999  # our own rows have changed since; what was asked has not
        bank.act()
        first, second = bank.provider.calls
        assert first == second
        assert bank.provider.books == {bank.key: "charged"}
        assert (bank.row.action, bank.events, bank.payments) == ("done", ["done"], 1)

    def test_dead_while_writing_the_result(self, bank: Bank) -> None:
        """Rule 8 (effects outside): result, our own rows and the event are one transaction."""
        settle = bank.charge.settle_one

        def dies(request: dict[str, Any], answer: dict[str, Any]) -> Any:
            settle(request, answer)
            raise Killed

        bank.charge.settle_one = dies  # type: ignore[method-assign]
        with pytest.raises(Killed):
            bank.act()
        assert (bank.row.action, bank.events, bank.payments) == ("intent", [], 0)
        bank.charge.settle_one = settle  # type: ignore[method-assign]
        bank.act()
        assert (bank.row.action, bank.payments, len(bank.provider.books)) == ("done", 1, 1)

    @concurrent
    def test_twins_at_once(self, bank: Bank) -> None:
        """Rule 8 (effects outside): a twin that finds an open intent repeats the call; the result is written once."""
        replies = together(*[bank.act] * 5)
        assert replies == [bank.row.reply] * 5
        assert (bank.payments, bank.events, bank.provider.books) == (1, ["done"], {bank.key: "charged"})

    @concurrent
    def test_a_result_that_comes_after_the_undo_is_too_late(self, bank: Bank) -> None:
        """Rule 8 (effects outside): it is not written over a row that is no intent any more, and the chain stops."""
        under_way, go = threading.Event(), threading.Event()

        def slow() -> None:
            under_way.set()
            assert go.wait(20)

        bank.provider.before = slow
        action = in_background(bank.act)
        assert under_way.wait(20)
        bank.undo()
        go.set()
        with pytest.raises(StepSuperseded):
            action.result(20)
        assert bank.provider.books == {bank.key: "cancelled"}
        assert (bank.row.action, bank.row.undo, bank.payments, bank.events) == ("done", "done", 0, ["undone"])


class TestUndo:
    def test_of_what_was_done(self, bank: Bank) -> None:
        bank.act()
        bank.undo()
        assert bank.provider.books == {bank.key: "cancelled"}
        assert (bank.row.undo, bank.payments, bank.events) == ("done", 0, ["done", "undone"])

    def test_a_repeat_makes_no_call(self, bank: Bank) -> None:
        bank.act()
        bank.undo()
        bank.undo()
        assert (len(bank.provider.calls), bank.events) == (2, ["done", "undone"])

    def test_of_what_never_ran(self, bank: Bank) -> None:
        """Rule 7 (the undo)."""
        bank.undo()
        with pytest.raises(StepSuperseded):
            bank.act()
        assert (bank.provider.calls, bank.row.action) == ([], "tombstone")

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_doubt_is_settled_by_the_same_call_then_undone(self, bank: Bank, when: str) -> None:
        """Rule 8 (effects outside): never by asking whether it is there; a request may still be under way."""
        setattr(bank.provider, when, unknown)
        with pytest.raises(OutcomeUnknown):
            bank.act()
        bank.undo()
        charges = [call for call in bank.provider.calls if call[0] == "charge"]
        assert charges[0] == charges[1]
        assert bank.provider.books == {bank.key: "cancelled"}
        assert (bank.row.undo, bank.payments, bank.events) == ("done", 0, ["undone"])

    def test_doubt_that_turns_out_a_refusal_leaves_nothing_to_undo(self, bank: Bank) -> None:
        """Rule 8 (effects outside)."""
        bank.provider.before = unknown
        with pytest.raises(OutcomeUnknown):
            bank.act()
        bank.provider.refuses = True
        bank.undo()
        assert bank.provider.keys("cancel") == set()
        assert (bank.row.action, bank.row.undo, bank.events) == ("refused", "done", ["undone"])

    def test_doubt_that_stays_is_tried_again(self, bank: Bank) -> None:
        """Rule 8 (effects outside): the undo fails; nothing is taken for granted."""
        bank.provider.before = unknown
        with pytest.raises(OutcomeUnknown):
            bank.act()
        bank.provider.before = unknown
        with pytest.raises(OutcomeUnknown):
            bank.undo()
        assert (bank.row.action, bank.row.undo, bank.events) == ("intent", "intent", [])
        bank.undo()
        assert (bank.row.undo, bank.provider.books) == ("done", {bank.key: "cancelled"})

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_its_own_call_is_repeated_with_its_own_key(self, bank: Bank, when: str) -> None:
        """Rules 2 and 8."""
        bank.act()
        setattr(bank.provider, when, killed)
        with pytest.raises(Killed):
            bank.undo()
        assert (bank.row.undo, bank.payments) == ("intent", 1)
        bank.undo()
        assert len(bank.provider.keys("cancel")) == 1
        assert not bank.provider.keys("cancel") & bank.provider.keys("charge")
        assert (bank.row.undo, bank.payments, bank.events) == ("done", 0, ["done", "undone"])

    @concurrent
    def test_twins_at_once(self, bank: Bank) -> None:
        bank.act()
        assert together(*[bank.undo] * 4) == [None] * 4
        assert (bank.events, bank.provider.books) == (["done", "undone"], {bank.key: "cancelled"})

    @concurrent
    def test_a_race_with_its_action(self) -> None:
        """Rules 7 and 8: whoever comes first, our books and the provider's end empty and equal."""
        for _ in range(RACES):
            bank = Bank()
            outcome, undone = together(bank.act, bank.undo)
            assert undone is None
            assert isinstance(outcome, dict | StepSuperseded)
            assert (bank.row.undo, bank.payments) == ("done", 0)
            assert set(bank.provider.books.values()) <= {"cancelled"}
            assert bank.events[-1] == "undone"


class TestFence:
    def test_of_what_never_ran(self, bank: Bank) -> None:
        """Rule 13 (the fence)."""
        assert bank.fence() is False
        with pytest.raises(StepSuperseded):
            bank.act()
        assert (bank.provider.calls, bank.events) == ([], [PIVOT_FENCED])

    def test_of_what_ran(self, bank: Bank) -> None:
        bank.act()
        assert bank.fence() is True
        assert bank.events == ["done", PIVOT_RAN]

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_doubt_is_settled_by_the_same_call(self, bank: Bank, when: str) -> None:
        """Rules 8 and 13: it ran, by the fence's own repeat if need be; result, event and proof are written."""
        setattr(bank.provider, when, unknown)
        with pytest.raises(OutcomeUnknown):
            bank.act()
        assert bank.fence() is True
        assert bank.provider.calls[0] == bank.provider.calls[1]
        assert (bank.row.action, bank.payments, bank.events) == ("done", 1, ["done", PIVOT_RAN])
        assert bank.act() == bank.row.reply

    def test_doubt_that_turns_out_a_refusal(self, bank: Bank) -> None:
        """Rule 13 (the fence): refused, it never will run."""
        bank.provider.before = unknown
        with pytest.raises(OutcomeUnknown):
            bank.act()
        bank.provider.refuses = True
        assert bank.fence() is False
        assert (bank.row.action, bank.events) == ("refused", ["refused", PIVOT_FENCED])
        with pytest.raises(Refused):
            bank.act()

    def test_doubt_that_stays_is_tried_again(self, bank: Bank) -> None:
        """Rule 13 (the fence): a fence that knows nothing lets no undo pass."""
        bank.provider.before = unknown
        with pytest.raises(OutcomeUnknown):
            bank.act()
        bank.provider.before = unknown
        with pytest.raises(OutcomeUnknown):
            bank.fence()
        assert (bank.row.action, bank.events) == ("intent", [])

    @concurrent
    def test_a_race_with_the_pivot(self) -> None:
        """Rule 13 (the fence): if the fence says never, nothing was charged and nothing will be."""
        for _ in range(RACES):
            bank = Bank()
            outcome, ran = together(bank.act, bank.fence)
            if ran:
                assert isinstance(outcome, dict)
                assert bank.provider.books == {bank.key: "charged"}
                assert bank.events == ["done", PIVOT_RAN]
            else:
                assert isinstance(outcome, StepSuperseded)
                assert (bank.provider.books, bank.payments, bank.events) == ({}, 0, [PIVOT_FENCED])

    @concurrent
    def test_one_that_comes_while_the_pivots_call_is_under_way(self, bank: Bank) -> None:
        """Rule 13 (the fence): it does not wait for it; both get the provider's one answer."""
        under_way, go = threading.Event(), threading.Event()

        def slow() -> None:
            under_way.set()
            assert go.wait(20)

        bank.provider.before = slow
        action = in_background(bank.act)
        assert under_way.wait(20)
        assert bank.fence() is True
        go.set()
        assert action.result(20) == bank.row.reply
        assert (bank.payments, bank.events) == (1, ["done", PIVOT_RAN])
