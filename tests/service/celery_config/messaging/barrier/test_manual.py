"""Manual settlement: an operator says how a call outside ended."""

from __future__ import annotations

from typing import Any

import pytest

from celery_config.errors import OperatorRefused, OutcomeUnknown, Refused, StepSuperseded
from celery_config.messaging.barrier import manual
from tests.service.celery_config.conftest import Bank, Hotel, unknown

pytestmark = pytest.mark.django_db(transaction=True)
NOTE = "their support says so (ada)"


def settle(bank: Bank, operation: str, answer: dict[str, Any]) -> str:
    handler = bank.charge_handler if operation == "do" else bank.cancel_handler
    return manual.settle_manually(
        bank.handlers.get,
        task=handler.command.wire_name(),
        saga=bank.saga,
        step="charge",
        operation=operation,
        subject=str(bank.trip),
        command={"trip": str(bank.trip)},
        answer=answer,
        note=NOTE,
    )


def doubt(bank: Bank, operation: str) -> None:
    """Leave an open intent behind."""
    bank.provider.before = unknown
    with pytest.raises(OutcomeUnknown):
        bank.act() if operation == "do" else bank.undo()


def test_a_doubtful_action_is_done_as_if_the_provider_had_answered(bank: Bank) -> None:
    """Rule 25 (parked): reply, event and our own rows are written; a repeat is answered from them."""
    doubt(bank, "do")
    settle(bank, "do", {"provider_id": "ch_by_hand"})
    assert (bank.row.action, bank.row.note, bank.events, bank.payments) == ("done", NOTE, ["done"], 1)
    assert bank.act() == bank.row.reply
    assert len(bank.provider.calls) == 1


def test_a_doubtful_undo_is_done(bank: Bank) -> None:
    bank.act()
    doubt(bank, "undo")
    settle(bank, "undo", {})
    assert (bank.row.undo, bank.row.note, bank.events, bank.payments) == ("done", NOTE, ["done", "undone"], 0)
    bank.undo()
    assert bank.events == ["done", "undone"]


def test_an_undo_of_a_doubtful_action_says_that_nothing_is_live(bank: Bank) -> None:
    doubt(bank, "do")
    doubt(bank, "undo")
    settle(bank, "undo", {})
    assert (bank.row.action, bank.row.undo, bank.events, bank.payments) == ("refused", "done", ["undone"], 0)
    with pytest.raises(StepSuperseded):
        bank.act()


def test_a_doubtful_action_was_refused(bank: Bank) -> None:
    doubt(bank, "do")
    assert settle(bank, "do", {"code": "declined", "reason": "n\x00o"}) == "charge is recorded as refused"
    assert (bank.row.action, bank.row.reply, bank.events) == (
        "refused", {"code": "declined", "reason": "n o"}, ["refused"],
    )  # fmt: skip
    with pytest.raises(Refused, match="declined: n o"):
        bank.act()
    assert len(bank.provider.calls) == 1


@pytest.mark.parametrize("answer", [{"code": "declined", "reason": "no"}, {"provider_id": "ch_1"}])
def test_of_what_is_being_undone_only_the_undo_is_settled(bank: Bank, answer: dict[str, Any]) -> None:
    doubt(bank, "do")
    doubt(bank, "undo")
    with pytest.raises(OperatorRefused, match=r"being undone: settle its undo"):
        settle(bank, "do", answer)
    settle(bank, "undo", {})


def test_of_what_is_not_being_undone_the_action_is_settled(bank: Bank) -> None:
    doubt(bank, "do")
    with pytest.raises(OperatorRefused, match=r"has not begun: settle the action"):
        settle(bank, "undo", {})


@pytest.mark.parametrize("operation", ["do", "undo"])
def test_what_never_came_is_not_in_doubt(bank: Bank, operation: str) -> None:
    with pytest.raises(OperatorRefused, match="no barrier row here"):
        settle(bank, operation, {})


@pytest.mark.parametrize("operation", ["do", "undo"])
def test_what_is_known_is_not_overwritten(bank: Bank, operation: str) -> None:
    bank.act()
    with pytest.raises(OperatorRefused, match="no open call"):
        settle(bank, operation, {"provider_id": "ch_other"})
    assert (bank.row.action, bank.row.undo, bank.row.note) == ("done", "", "")


def test_an_answer_that_lacks_something_writes_nothing(bank: Bank) -> None:
    doubt(bank, "do")
    with pytest.raises(KeyError):
        settle(bank, "do", {})
    assert (bank.row.action, bank.row.note, bank.payments) == ("intent", "", 0)


def test_a_local_step_has_no_call_to_tell_of(hotel: Hotel) -> None:
    hotel.act()
    with pytest.raises(OperatorRefused, match="no open call"):
        manual.settle_manually(
            hotel.handlers.get,
            task=hotel.book_handler.command.wire_name(),
            saga=hotel.saga,
            step="hotel",
            operation="do",
            subject=str(hotel.trip),
            command={},
            answer={},
            note=NOTE,
        )
