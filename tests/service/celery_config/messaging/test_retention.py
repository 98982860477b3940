"""Retention deletes only rows that no message can need any more."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from celery.exceptions import Reject
from django.utils import timezone

from celery_config.common.identifiers import uuid7
from celery_config.contracts.base import command_id
from celery_config.messaging import retention
from celery_config.messaging.barrier.steps import StepRequest
from celery_config.messaging.deliveries import Delivery
from celery_config.messaging.models import BarrierRow
from celery_config.participant.handlers import StepMessage, run_deduplicated

pytestmark = pytest.mark.django_db
DAYS = 90


def ago(days: float) -> datetime:
    return timezone.now() - timedelta(days=days)


def row(saga: UUID, *, days: float, action: str = "done", undo: str = "") -> UUID:
    key = command_id(saga, "hotel", "do")
    BarrierRow.objects.create(
        key=key, saga=saga, step="hotel", command="inventory.book_hotel", action=action, undo=undo,
        created_at=ago(days),
    )  # fmt: skip
    return key


class TestBarrier:
    def test_rows_of_sagas_past_the_horizon_go_and_the_others_stay(self) -> None:
        old = row(uuid7(ago(DAYS + 2)), days=DAYS + 2)
        young = row(uuid7(ago(DAYS - 1)), days=DAYS - 1)
        retention.delete_expired()
        assert list(BarrierRow.objects.values_list("key", flat=True)) == [young]
        assert old != young

    @pytest.mark.parametrize(("action", "undo"), [("intent", ""), ("done", "intent")])
    def test_one_with_an_open_call_is_never_forgotten(self, action: str, undo: str) -> None:
        """Rule 8 (effects outside): the provider may hold something, and only this row knows under which key."""
        key = row(uuid7(ago(400)), days=400, action=action, undo=undo)
        retention.delete_expired()
        assert BarrierRow.objects.get().key == key

    def test_whatever_may_still_be_carried_out_is_kept(self) -> None:
        """A row goes only when what comes for its saga is refused already, however the clocks differ."""
        for days in (DAYS - 0.5, DAYS + 0.5, DAYS + 1.5):
            saga = uuid7(ago(days))
            key = row(saga, days=days)
            retention.delete_expired()
            assert BarrierRow.objects.filter(key=key).exists() or retention.is_too_old(saga)

    def test_much_is_forgotten_a_batch_at_a_time(self) -> None:
        for _ in range(5):
            row(uuid7(ago(DAYS + 2)), days=DAYS + 2)
        left = []
        while retention.delete_expired(batch=2):
            left.append(BarrierRow.objects.count())
        assert left == [3, 1]
        assert not BarrierRow.objects.exists()

    def test_where_less_is_kept_the_margin_is_less(self, settings: Any) -> None:
        settings.SAGA_RETENTION_DAYS = 0.5
        row(uuid7(ago(0.6)), days=0.6)
        kept = row(uuid7(ago(0.52)), days=0.52)
        retention.delete_expired()
        assert BarrierRow.objects.get().key == kept


class TestTooOld:
    def carried_out(self, *sagas: UUID) -> tuple[list[Any], list[UUID]]:
        deliveries: list[Delivery[Any]] = [
            Delivery(
                SimpleNamespace(),  # type: ignore[arg-type]
                StepMessage(saga=saga, step="hotel", operation="do", attempt=0, command={}),
            )
            for saga in sagas
        ]
        done: list[UUID] = []

        def carry_out(_: str, steps: Any) -> list[Any]:
            done.extend(step.saga for step in steps)
            return ["done"] * len(steps)

        outcomes = run_deduplicated(
            deliveries, lambda d: StepRequest(d.message.saga, "hotel", "do", ""), carry_out
        )
        return outcomes, done

    def test_what_comes_for_a_saga_whose_rows_may_be_gone_is_not_carried_out(self) -> None:
        """It might be carried out twice; its dead letter leads to the saga."""
        old, young = uuid7(ago(DAYS + 0.1)), uuid7()
        outcomes, done = self.carried_out(old, young)
        assert done == [young]
        assert outcomes[1] == "done"
        assert isinstance(outcomes[0], Reject)
        assert not outcomes[0].requeue

    def test_while_its_row_is_there_it_is_carried_out(self) -> None:
        """Rule 8 (effects outside): an open call must be settled, however long its saga was parked."""
        old = uuid7(ago(DAYS + 30))
        row(old, days=DAYS + 30, action="intent")
        outcomes, done = self.carried_out(old)
        assert (outcomes, done) == (["done"], [old])
