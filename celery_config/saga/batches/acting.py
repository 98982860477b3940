"""Acting on the items of a batch: a piece is one transaction, and one bad item harms only itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet, Subquery

from celery_config.common.isolation import run_isolated
from celery_config.db import bulk
from celery_config.db.functions import Now
from celery_config.errors import OperatorRefused, show_error
from celery_config.messaging.database_gate import DATABASE_AWAY
from celery_config.saga.batches.dry_run import (
    GONE,
    MOVED,
    ask_participants,
    build_courses,
    check_items,
    has_moved,
    set_aside,
)
from celery_config.saga.batches.models import Batch, BatchItem
from celery_config.saga.batches.states import ItemState
from celery_config.saga.engine import step_log
from celery_config.saga.engine.flows import WatchedFlow
from celery_config.saga.engine.step_log import LoggedStep
from celery_config.saga.engine.unit_of_work import UnitOfWork
from celery_config.saga.models import OperatorAction
from celery_config.saga.operations import operators
from celery_config.saga.operations.audit_trail import make_record
from celery_config.saga.states import ENDED, Status

log = structlog.get_logger(__name__)
WRITTEN = ("state", "reason", "would_be", "acted_at")


@dataclass(frozen=True)
class ItemPiece(ABC):
    """Some items of one batch, whatever they stand for."""

    batch: Batch

    @abstractmethod
    def check(self, items: Sequence[BatchItem]) -> None:
        """Write on each item what the verb would do; nothing is saved."""

    @abstractmethod
    def note_outcomes(self, pending: QuerySet[BatchItem]) -> int:
        """Write down what became of those of these items of which it is known; return of how many."""

    @abstractmethod
    def act_on_all(self, items: Sequence[BatchItem]) -> int:
        """Act on all in one transaction, or on none; return on how many.

        Another relay may work on the same items, if this one was very slow: what it has done is passed over.
        """

    def act(self, items: Sequence[BatchItem]) -> int:
        """Act on each item that has not moved since it was chosen; return on how many.

        Raises:
            OperationalError, InterfaceError: the database is away; nothing was harmed, and the items stay as they were.
        """
        return run_isolated(items, self.act_on_all, self.set_aside, passed_on=DATABASE_AWAY)

    def set_aside(self, item: BatchItem, error: Exception) -> None:
        """Write down that an item failed in a way that no rule foresees; the others go on."""
        about = str(item.flow or item.letter)
        log.error("an item of a batch failed", batch=str(self.batch.pk), item=about, exc_info=error)
        set_aside(item, ItemState.REFUSED, f"it failed: {show_error(error)}")
        BatchItem.objects.filter(pk=item.pk, state=ItemState.CHECKED).update(
            state=item.state, reason=item.reason, would_be=item.would_be
        )


@dataclass(frozen=True)
class FlowPiece(ItemPiece):
    """Some flows of one batch."""

    flow: WatchedFlow[Any, Any]

    def check(self, items: Sequence[BatchItem]) -> None:
        check_items(self.flow, self.batch.verb, items)

    def note_outcomes(self, pending: QuerySet[BatchItem]) -> int:
        flows = self.flow.model._default_manager.filter(pk=OuterRef("flow"))
        ended = pending.filter(Exists(flows.filter(status__in=(*ENDED, Status.PARKED))))
        return int(ended.update(outcome=Subquery(flows.values("status")[:1])))

    def act_on_all(self, items: Sequence[BatchItem]) -> int:
        proofs = self.find_proofs(items)
        with transaction.atomic():
            # The log before the rows: locks in one order everywhere.
            step_log.merge_entries(proofs)
            rows = {row.pk: row for row in self.flow.lock(item.flow for item in items)}
            pending = BatchItem.objects.select_for_update().filter(
                pk__in=[item.pk for item in items], state=ItemState.CHECKED
            )
            left = list(pending.order_by("pk"))
            courses, faults = build_courses(self.flow, list(rows.values()))
            work = UnitOfWork.begin(self.flow, list(rows.values()))
            done: list[OperatorAction] = []
            for item in left:
                row = rows.get(item.flow)
                fault = GONE if row is None else MOVED if has_moved(item, row) else ""
                if row is None or fault:
                    set_aside(item, ItemState.LEFT, fault)
                    continue
                try:
                    if why_not := faults.get(row.pk) or courses[row.pk].fault:
                        raise OperatorRefused(why_not)
                    result_text = operators.apply_verb(work, row, self.batch.verb)
                except OperatorRefused as refusal:
                    set_aside(item, ItemState.REFUSED, str(refusal))
                else:
                    done.append(
                        make_record(
                            self.batch.verb, row=row, what=str(self.batch), by=self.batch.by,
                            why=self.batch.why, result_text=result_text,
                        )
                    )  # fmt: skip
                    item.state, item.acted_at = ItemState.ACTED.value, Now()
            work.write()
            OperatorAction.objects.bulk_create(done)
            bulk.update(BatchItem, left, WRITTEN)
        return len(done)

    def find_proofs(self, items: Sequence[BatchItem]) -> list[LoggedStep]:
        """Return what the participants prove of these flows, where the verb needs it."""
        if self.batch.verb != "resume":
            return []
        rows = self.flow.model._default_manager.filter(pk__in=[item.flow for item in items])
        by_id = {row.pk: row for row in rows}
        courses, _ = build_courses(self.flow, list(by_id.values()))
        told = ask_participants(courses)
        return [proof for pk in courses if (proof := self.flow.find_proof(by_id[pk], told[pk]))]
