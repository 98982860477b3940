"""The commands of any saga: `begin` starts one, `export` makes a test of what became of it."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from celery_config.saga.models import SagaInstance, SagaPause, SagaStep
from celery_config.saga.states import Status
from tests.trip import Trip

pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out, stderr=out)
    return out.getvalue()


class TestBegin:
    def test_one_is_begun_and_a_second_of_its_subject_is_not(self) -> None:
        data = json.dumps({"trip": str(uuid4()), "nights": 2})
        assert "is begun" in run("begin", "trip", data)
        assert "was begun before: it is running" in run("begin", "trip", data)
        saga = SagaInstance.objects.get(name="trip")
        assert (saga.version, saga.data, saga.steps.count()) == (1, json.loads(data), len(Trip.steps))

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (("trp", "{}"), "There is no saga 'trp'"),
            (("trip", "{}", "--of-version", "7"), "trip has no version 7. It has: 1."),
            (("trip", "{"), "The data are not those of trip"),
            (("trip", '{"trip": "x", "nights": 1}'), "The data are not those of trip"),
        ],
    )
    def test_what_cannot_be_begun_is_said(self, words: Any, told: str) -> None:
        with pytest.raises(CommandError, match=told):
            run("begin", *words)

    def test_none_is_begun_while_they_are_paused(self) -> None:
        SagaPause.objects.create(saga="trip", why="a try", by="ada")
        with pytest.raises(CommandError, match="Nothing was begun: "):
            run("begin", "trip", json.dumps({"trip": str(uuid4()), "nights": 2}))
        assert not SagaInstance.objects.exists()


class TestExport:
    def test_a_parked_one_becomes_a_test_that_parks(self) -> None:
        now = timezone.now()
        saga = SagaInstance.objects.create(
            name="trip", version=1, subject="7", data={}, status=Status.PARKED.value, deadline_at=now, since=now,
            cause={"step": "flight", "code": "no_seat", "reason": "none is left"},
        )  # fmt: skip
        SagaStep.objects.bulk_create(
            SagaStep(
                saga=saga, name=step.name, position=n, kind=step.kind,
                logged={"hotel": "done", "flight": "refused"}.get(step.name, ""),
                failure={"operation": "undo", "code": "x"} if step.name == "hotel" else None,
            )
            for n, step in enumerate(Trip.steps)
        )  # fmt: skip
        test = run("export", str(saga.pk))
        assert 'lasting=["hotel"]' in test
        assert '"do flight 1 at work": "refuses"' in test
        assert 'assert outcome.status == "parked"' in test

    @pytest.mark.parametrize(
        ("saga", "told"), [("x", "is no id of a saga"), (str(uuid4()), "There is no saga")]
    )
    def test_what_is_not_there_is_said(self, saga: str, told: str) -> None:
        with pytest.raises(CommandError, match=told):
            run("export", saga)
