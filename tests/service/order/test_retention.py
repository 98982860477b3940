"""What the order service forgets: the logs of sagas that ended long ago, and their clients' keys."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.module_loading import import_string

from celery_config.common.identifiers import uuid7
from celery_config.messaging.models import IdempotencyKey
from celery_config.messaging.retention import delete_expired
from celery_config.saga.batches.models import Batch, BatchItem
from celery_config.saga.duties import delete_old_batches, delete_old_letters, delete_old_log
from celery_config.saga.models import DeadLetter, LetterGroup, SagaDecision, SagaInstance, SagaStep

pytestmark = pytest.mark.django_db
LONG_AGO = timezone.now() - timedelta(days=91)


def saga(*, ended: bool, began: object = LONG_AGO) -> SagaInstance:
    made = SagaInstance.objects.create(
        id=uuid7(began),  # type: ignore[arg-type]
        name="place-order", version=1, subject="s", data={}, since=LONG_AGO, deadline_at=LONG_AGO,
        status="completed" if ended else "parked", due_at=None if ended else LONG_AGO,
        ended_at=began if ended else None,
    )  # fmt: skip
    SagaStep.objects.create(saga=made, name="a", position=0, kind="pivot", command="c")
    SagaDecision.objects.create(saga=made, came="x", status_before="running", status_after="running")
    return made


def test_the_log_of_a_saga_that_ended_long_ago_goes_and_the_saga_stays() -> None:
    old, open_one, young = saga(ended=True), saga(ended=False), saga(ended=True, began=timezone.now())
    delete_old_log()
    assert SagaInstance.objects.count() == 3
    for kept in (SagaStep, SagaDecision):
        assert set(kept.objects.values_list("saga", flat=True)) == {open_one.pk, young.pk}  # type: ignore[attr-defined]
    assert not old.steps.exists()


def test_old_keys_go() -> None:
    for key, made in (("old", LONG_AGO), ("young", timezone.now())):
        IdempotencyKey.objects.create(digest=key, request_hash="h", status=202, made="1", created_at=made)
    delete_expired()
    assert IdempotencyKey.objects.get().pk == "young"


def test_sessions_that_have_ended_go() -> None:
    for key, until in (
        ("ended", timezone.now() - timedelta(seconds=1)),
        ("open", timezone.now() + timedelta(hours=1)),
    ):
        Session.objects.create(session_key=key, session_data="", expire_date=until)
    delete_expired()
    assert Session.objects.get().pk == "open"


def letter(task: str, *, received: object = LONG_AGO, **fields: object) -> None:
    DeadLetter.objects.create(task=task, received_at=received, reason="rejected", queue="q", **fields)


def test_a_dead_letter_goes_when_it_was_dealt_with_long_ago() -> None:
    ended, parked = saga(ended=True), saga(ended=False)
    letter("of a saga that ended", saga=ended.pk)
    letter("an operator said so", dealt_with_at=LONG_AGO, dealt_with_by="ada")
    letter("of a saga that is open", saga=parked.pk)
    letter("of no saga")
    letter("an operator said so today", dealt_with_at=timezone.now(), dealt_with_by="ada")
    letter("came today, of a saga that ended", saga=ended.pk, received=timezone.now())
    assert delete_old_letters(batch=1)
    assert delete_old_letters(batch=1)
    assert not delete_old_letters(batch=1)
    assert list(DeadLetter.objects.order_by("id").values_list("task", flat=True)) == [
        "of a saga that is open",
        "of no saga",
        "an operator said so today",
        "came today, of a saga that ended",
    ]


def test_a_group_goes_after_its_last_letter() -> None:
    for name in ("empty", "in use"):
        LetterGroup.objects.create(fingerprint=name, first_at=LONG_AGO)
    LetterGroup.objects.create(fingerprint="new")
    letter("of no saga", fingerprint="in use")
    assert not delete_old_letters()
    assert {*LetterGroup.objects.values_list("fingerprint", flat=True)} == {"in use", "new"}


def test_all_are_duties_of_the_relay() -> None:
    names = {duty.name for path in settings.RELAY_DUTIES for duty in import_string(path)()}
    assert {"retention of the log", "retention of seen events", "retention of dead letters"} <= names


def test_a_batch_goes_long_after_each_of_its_flows_has_its_outcome() -> None:
    for state, settled in (("old", LONG_AGO), ("young", timezone.now()), ("open", None)):
        batch = Batch.objects.create(kind="k", verb="retry", why=state, one_first=False, settled_at=settled)
        for _ in range(2):
            BatchItem.objects.create(batch=batch, flow=uuid7(), seen_status="parked", seen_since=LONG_AGO)
    while delete_old_batches(batch=1):
        pass
    assert set(Batch.objects.values_list("why", flat=True)) == {"young", "open"}
    assert BatchItem.objects.count() == 4
