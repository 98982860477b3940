"""The audit of ended sagas compares each end with the barriers of its steps and with the log."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from celery_config.common.identifiers import uuid7
from celery_config.messaging.states import Action, Undo
from celery_config.saga.course import Held
from celery_config.saga.models import SagaInstance, SagaStep
from celery_config.saga.operations import ended_sagas
from celery_config.saga.operations.ended_sagas import check_ended
from celery_config.saga.states import Status
from tests.trip import Trip

pytestmark = pytest.mark.django_db
DONE, UNDONE = Held(Action.DONE, Undo.NONE, {}), Held(Action.DONE, Undo.DONE, {})
REFUSED, NEVER = Held(Action.REFUSED, Undo.NONE, {}), Held(Action.TOMBSTONE, Undo.DONE, None)


@pytest.fixture
def barriers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Held]:
    """What all participants say, by step."""
    rows: dict[str, Held] = {}

    def read(service: str, ids: Collection[UUID]) -> Mapping[UUID, Mapping[str, Held]] | None:
        owned = {step.name for step in Trip.steps if step.command.service == service}
        return {each: {name: row for name, row in rows.items() if name in owned} for each in ids}

    monkeypatch.setattr(ended_sagas, "read_barriers_of_many", read)
    return rows


def end(status: Status, *, minutes_ago: float = 5, **logged: str) -> SagaInstance:
    now = timezone.now()
    saga = SagaInstance.objects.create(
        id=uuid7(), name=Trip.name, version=1, subject="trip 7", data={}, status=status.value, deadline_at=now,
        since=now, due_at=now if status is Status.RUNNING else None,
        ended_at=None if status is Status.RUNNING else now - timedelta(minutes=minutes_ago),
    )  # fmt: skip
    SagaStep.objects.bulk_create(
        SagaStep(saga=saga, name=step.name, position=n, kind=step.kind, logged=logged.get(step.name, ""))
        for n, step in enumerate(Trip.steps)
    )
    return saga


ALL_DONE = {step.name: "done" for step in Trip.steps}


def test_ends_that_are_what_they_say(barriers: dict[str, Held]) -> None:
    barriers |= dict.fromkeys(ALL_DONE, DONE)
    end(Status.COMPLETED, **ALL_DONE)
    end(Status.RUNNING)
    assert (check_ended().checked, check_ended().findings) == (1, [])
    assert check_ended(without=[Trip.name]).checked == 0


def test_a_completed_saga_without_a_step(barriers: dict[str, Held]) -> None:
    barriers |= dict.fromkeys(ALL_DONE, DONE) | {"hotel": UNDONE}
    del barriers["ticket"]
    saga = end(Status.COMPLETED, **ALL_DONE)
    about = f"{Trip.noun} trip 7 (saga {saga.id}) is completed, but "
    assert check_ended().findings == [
        f"{about}inventory says of hotel: done, undo done",
        f"{about}{Trip.steps[3].command.service} says of ticket: nothing",
    ]


def test_a_compensated_saga_of_which_something_remains(barriers: dict[str, Held]) -> None:
    barriers |= {"hotel": DONE, "flight": REFUSED, "charge": NEVER}
    saga = end(Status.COMPENSATED, hotel="done", flight="refused", charge="undone")
    about = f"{Trip.noun} trip 7 (saga {saga.id}) is compensated, but "
    assert check_ended().findings == [
        f"{about}inventory says of hotel: done", f"{about}the saga log says of hotel: done",
    ]  # fmt: skip
    barriers["hotel"] = UNDONE
    saga.steps.filter(name="hotel").update(logged="undone")
    assert check_ended().findings == []


def test_what_the_log_does_not_know_yet_is_no_violation(barriers: dict[str, Held]) -> None:
    barriers |= dict.fromkeys(ALL_DONE, DONE)
    saga = end(Status.COMPLETED, minutes_ago=0)
    assert check_ended().findings == []
    SagaInstance.objects.filter(pk=saga.pk).update(ended_at=timezone.now() - timedelta(days=2))
    assert len(check_ended().findings) == len(Trip.steps)


def test_a_participant_that_does_not_answer_is_told_apart(
    barriers: dict[str, Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended_sagas, "read_barriers_of_many", lambda service, ids: None)
    end(Status.COMPLETED, **ALL_DONE)
    found = check_ended()
    assert (found.findings, found.silent) == ([], {step.command.service for step in Trip.steps})


def test_more_sagas_than_one_question_holds(
    barriers: dict[str, Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended_sagas, "MOST_SAGAS", 2)
    barriers |= dict.fromkeys(ALL_DONE, DONE)
    for _ in range(5):
        end(Status.COMPLETED, **ALL_DONE)
    assert check_ended().checked == 5
