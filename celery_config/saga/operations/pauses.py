"""Holding up new sagas: of one name, or of every kind that has a certain step. Running ones go on."""

from __future__ import annotations

from django.db import transaction

from celery_config.errors import OperatorRefused
from celery_config.saga.dsl import Saga
from celery_config.saga.models import OperatorAction, SagaPause
from celery_config.saga.operations.audit_trail import check_reason, record_action


def pause(*, saga: str = "", step: str = "", by: str, why: str) -> OperatorAction:
    """Let no new saga of this name, or with this step, start; running ones go on.

    Raises:
        OperatorRefused: no such saga or step, or it is paused.
    """
    check_reason(why)
    known = (
        {s.name for s in Saga.registry.values()},
        {s.name for d in Saga.registry.values() for s in d.steps},
    )
    for name, names in zip((saga, step), known, strict=True):
        if name and name not in names:
            raise OperatorRefused(f"nothing is called {name!r}; there are {', '.join(sorted(names))}")
    check_one(saga, step)
    with transaction.atomic():
        _, made = SagaPause.objects.get_or_create(saga=saga, step=step, defaults={"by": by, "why": why})
        if not made:
            raise OperatorRefused(f"{saga or step} is paused already")
        return record_action("pause", what=saga or step, by=by, why=why, result_text="no new ones start")


def unpause(*, saga: str = "", step: str = "", by: str, why: str) -> OperatorAction:
    """End a pause.

    Raises:
        OperatorRefused: it is not paused.
    """
    check_reason(why)
    check_one(saga, step)
    with transaction.atomic():
        gone, _ = SagaPause.objects.filter(saga=saga, step=step).delete()
        if not gone:
            raise OperatorRefused(f"{saga or step} is not paused")
        return record_action("unpause", what=saga or step, by=by, why=why, result_text="new ones start again")


def check_one(saga: str, step: str) -> None:
    if bool(saga) == bool(step):
        raise OperatorRefused("name a saga or a step, one of both")
