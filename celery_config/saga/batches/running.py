"""Running batches: a thread of the relay checks and acts on a piece of each at a time, until each has its outcome.

What is done is in the database alone, so another relay goes on after `kill -9`. Relays share a batch by claims on its
items; a claim saves work, and the items' states and the flows' locks decide.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.apps import apps
from django.db import transaction
from django.db.models import Exists, Q, QuerySet
from django.utils import timezone

from celery_config.db import bulk
from celery_config.db.functions import Now, cached_sql, fetch_now
from celery_config.messaging.barrier.store import MOST_SAGAS
from celery_config.messaging.database_gate import DATABASE_AWAY
from celery_config.saga.batches import counting
from celery_config.saga.batches.acting import FlowPiece, ItemPiece
from celery_config.saga.batches.letters import LetterPiece
from celery_config.saga.batches.models import Batch, BatchItem
from celery_config.saga.batches.states import IN_VAIN, BatchState, ItemOutcome, ItemState
from celery_config.saga.engine.flows import find_flow
from celery_config.saga.models import DeadLetter

log = structlog.get_logger(__name__)
PIECE = 50
CLAIM_SECONDS = 30.0
"""How long a relay that was killed keeps others from its items."""
CHECKED_FIELDS = ("claimed_until", "state", "reason", "would_be", "money_state", "currency", "amount")
COUNT_SECONDS = 2.0
"""As often as a page asks."""
RECOUNT_SECONDS = 60.0
"""So long the sums may be wrong after a relay was killed between an act and its count."""
TRIED_IN_VAIN = "the first one waits for a decision again; look at it before the others"
ACTING = (BatchState.TRYING, BatchState.RUNNING)


@cached_sql
def select_unsettled() -> QuerySet[Batch, Any]:
    """The statement of the batches that are left: without one no thread is needed."""
    return Batch.objects.filter(settled_at__isnull=True).values("pk")


def run_batches() -> None:
    """Work on all batches, a piece of each in turn, until nothing is left to do at this moment."""
    found = Batch.objects.filter(settled_at__isnull=True).order_by("pk").values_list("pk", flat=True)
    busy = [BatchRun(pk) for pk in found]
    while busy:
        busy = [run for run in busy if run_safely(run)]


def run_safely(run: BatchRun) -> bool:
    """Do the next piece of a batch; return whether there is more to do at once. A batch that fails stops no other.

    Raises:
        OperationalError, InterfaceError: the database is away.
    """
    try:
        return run.do_piece()
    except DATABASE_AWAY:
        raise
    except Exception:
        log.exception("a batch failed; the others go on", batch=str(run.pk))
        return False


class BatchRun:
    """What one relay does for a batch until nothing is left to do at this moment."""

    def __init__(self, pk: UUID) -> None:
        self.pk = pk
        self.batch: Batch
        self.piece: ItemPiece
        self.counted = time.monotonic()
        self.is_changed = False
        """Whether a flow stands elsewhere than when they were counted last."""

    def do_piece(self) -> bool:
        """Do the next piece; return whether there is more to do at once."""
        self.batch = Batch.objects.get(pk=self.pk)
        self.piece = make_piece(self.batch)
        self.is_changed |= self.piece.note_outcomes(find_under_way(self.batch)) > 0
        steps: dict[str, Callable[[], bool]] = {
            BatchState.CHECKING: self.check_piece,
            BatchState.TRYING: self.try_one,
            BatchState.RUNNING: self.act_on_piece,
        }
        step = steps.get(self.batch.state)
        more = step() if step else False
        self.count_if_due(more=more)
        settle(self.batch)
        return more

    def count_if_due(self, *, more: bool) -> None:
        """Count what was changed when it is done, and every so often until then; and what a killed relay changed."""
        at = self.batch.counted_at
        is_old = at is None or timezone.now() - at > timedelta(seconds=RECOUNT_SECONDS)
        is_due = self.is_changed and (not more or time.monotonic() - self.counted > COUNT_SECONDS)
        if is_due or is_old:
            counting.count_flows(self.pk)
            self.counted, self.is_changed = time.monotonic(), False

    def check_piece(self) -> bool:
        """Check some flows; once all are, the batch is ready to be started."""
        items = claim(self.batch, ItemState.CHOSEN, MOST_SAGAS)
        if items:
            self.piece.check(items)
            for item in items:
                item.claimed_until = None
            bulk.update(BatchItem, items, CHECKED_FIELDS)
            self.is_changed = True
        left = self.batch.items.filter(state=ItemState.CHOSEN)
        checking = Batch.objects.filter(~Exists(left), pk=self.pk, state=BatchState.CHECKING)
        checking.update(state=BatchState.READY)
        return bool(items)

    def try_one(self) -> bool:
        """Act on one flow, and wait for its end: then the others follow, or the batch is paused."""
        first = self.batch.items.filter(state=ItemState.ACTED).order_by("acted_at").first()
        if first is None:
            return self.act_on_some(1)
        trying = Batch.objects.filter(pk=self.pk, state=BatchState.TRYING)
        if first.outcome in IN_VAIN:
            trying.update(state=BatchState.PAUSED, note=TRIED_IN_VAIN)
            return False
        if first.outcome == ItemOutcome.UNDER_WAY:
            return False
        trying.update(state=BatchState.RUNNING)
        return True

    def act_on_piece(self) -> bool:
        """Act on as many flows as are due now; return whether there may be more at once. Between waves there is not."""
        if not self.batch.per_minute:
            return self.act_on_some(PIECE)
        count, seconds = plan_wave(self.batch.per_minute)
        now = fetch_now()
        due = Q(next_at__isnull=True) | Q(next_at__lte=now)
        # One relay gets the wave: the row decides.
        is_ours = Batch.objects.filter(due, pk=self.pk).update(next_at=now + timedelta(seconds=seconds))
        if is_ours:
            self.act_on_some(count)
        return False

    def act_on_some(self, count: int) -> bool:
        """Act on so many flows at most; return whether there may be more."""
        items = claim(self.batch, ItemState.CHECKED, count)
        if items:
            self.piece.act(items)
            self.is_changed = True
            return True
        left = self.batch.items.filter(state=ItemState.CHECKED)
        acting = Batch.objects.filter(~Exists(left), pk=self.pk, state__in=ACTING)
        acting.update(state=BatchState.ENDED, ended_at=Now())
        return False


def plan_wave(per_minute: int) -> tuple[int, float]:
    """Return how many flows a wave has, and how many seconds the next one waits: about a wave a second."""
    count = min(PIECE, max(1, per_minute // 60))
    return count, count * 60 / per_minute


def claim(batch: Batch, state: ItemState, count: int) -> list[BatchItem]:
    """Claim items in this state, those first that were chosen first; another relay passes them over for a while."""
    now = fetch_now()
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lt=now)
    with transaction.atomic():
        pending = batch.items.select_for_update(skip_locked=True).filter(free, state=state)
        items = list(pending.order_by("pk")[:count])
        until = now + timedelta(seconds=CLAIM_SECONDS)
        BatchItem.objects.filter(pk__in=[item.pk for item in items]).update(claimed_until=until)
    return items


def make_piece(batch: Batch) -> ItemPiece:
    """Return what checks and acts on the items of a batch."""
    model = apps.get_model(batch.kind)
    return LetterPiece(batch) if model is DeadLetter else FlowPiece(batch, find_flow(model))


def find_under_way(batch: Batch) -> QuerySet[BatchItem]:
    """Return what was acted on and has no outcome yet."""
    return batch.items.filter(state=ItemState.ACTED, outcome=ItemOutcome.UNDER_WAY)


def settle(batch: Batch) -> None:
    """Note that nothing of the batch is left: each flow has its outcome, or was left alone. It is counted once more."""
    over = Batch.objects.filter(pk=batch.pk, state__in=(BatchState.ENDED, BatchState.STOPPED))
    if over.filter(~Exists(find_under_way(batch))).update(settled_at=timezone.now()):
        counting.count_flows(batch.pk)
