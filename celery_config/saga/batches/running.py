"""Running batches: a thread of the relay checks and acts on a piece of each at a time, until each has its outcome.

What is done is in the database alone, so another relay goes on after `kill -9`. Relays share a batch by claims on its
items; a claim saves work, and the items' states and the flows' locks decide.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.apps import apps
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from celery_config.db import bulk
from celery_config.db.functions import Now, fetch_now
from celery_config.messaging.barrier.store import MOST_SAGAS
from celery_config.messaging.outbox.relay import BackgroundDuty
from celery_config.saga.batches.acting import Piece
from celery_config.saga.batches.dry_run import check_items
from celery_config.saga.batches.models import Batch, BatchItem
from celery_config.saga.batches.states import BatchState, ItemOutcome, ItemState
from celery_config.saga.engine.flows import WatchedFlow, find_flow
from celery_config.saga.states import ENDED, Status

log = structlog.get_logger(__name__)
PIECE = 50
CLAIM_SECONDS = 30.0
"""How long a relay that was killed keeps others from its items."""
CHECKED_FIELDS = ("claimed_until", "state", "reason", "would_be", "money_state", "currency", "amount")
TRIED_IN_VAIN = "the first one waits for a decision again; look at it before the others"
ACTING = (BatchState.TRYING, BatchState.RUNNING)


def start_if_any(duty: BackgroundDuty) -> None:
    """Start the thread if a batch is left: a thread, and its connection, for nothing costs more than this question."""
    if Batch.objects.filter(settled_at__isnull=True).exists():
        duty.start()


def run_batches() -> None:
    """Work on all batches, a piece of each in turn, until nothing is left to do at this moment."""
    busy = set(Batch.objects.filter(settled_at__isnull=True).values_list("pk", flat=True))
    while busy:
        for pk in sorted(busy):
            try:
                if not run_piece(pk):
                    busy.discard(pk)
            except (OperationalError, InterfaceError):
                raise
            except Exception:
                log.exception("a batch failed; the others go on", batch=str(pk))
                busy.discard(pk)


def run_piece(pk: UUID) -> bool:
    """Do the next piece of a batch; return whether there is more to do at once."""
    batch = Batch.objects.get(pk=pk)
    flow = find_flow(apps.get_model(batch.kind))
    note_outcomes(batch, flow)
    steps: dict[str, Callable[[Batch, WatchedFlow[Any, Any]], bool]] = {
        BatchState.CHECKING: check_piece,
        BatchState.TRYING: try_one,
        BatchState.RUNNING: act_on_piece,
    }
    step = steps.get(batch.state)
    more = step(batch, flow) if step else False
    settle(batch)
    return more


def check_piece(batch: Batch, flow: WatchedFlow[Any, Any]) -> bool:
    """Check some flows; once all are, the batch is ready to be started."""
    items = claim(batch, ItemState.CHOSEN, MOST_SAGAS)
    if items:
        check_items(flow, batch.verb, items)
        for item in items:
            item.claimed_until = None
        bulk.update(BatchItem, items, CHECKED_FIELDS)
    left = batch.items.filter(state=ItemState.CHOSEN)
    Batch.objects.filter(~Exists(left), pk=batch.pk, state=BatchState.CHECKING).update(state=BatchState.READY)
    return bool(items)


def try_one(batch: Batch, flow: WatchedFlow[Any, Any]) -> bool:
    """Act on one flow, and wait for its end: then the others follow, or the batch is paused."""
    first = batch.items.filter(state=ItemState.ACTED).order_by("acted_at").first()
    if first is None:
        return act_on_some(batch, flow, 1)
    if first.outcome == ItemOutcome.PARKED:
        paused = {"state": BatchState.PAUSED, "note": TRIED_IN_VAIN}
        Batch.objects.filter(pk=batch.pk, state=BatchState.TRYING).update(**paused)
        return False
    if first.outcome == ItemOutcome.UNDER_WAY:
        return False
    Batch.objects.filter(pk=batch.pk, state=BatchState.TRYING).update(state=BatchState.RUNNING)
    return True


def act_on_piece(batch: Batch, flow: WatchedFlow[Any, Any]) -> bool:
    """Act on as many flows as are due now; return whether there may be more at once. Between waves there is not."""
    if not batch.per_minute:
        return act_on_some(batch, flow, PIECE)
    count, seconds = plan_wave(batch.per_minute)
    now = fetch_now()
    due = Q(next_at__isnull=True) | Q(next_at__lte=now)
    # One relay gets the wave: the row decides.
    is_ours = Batch.objects.filter(due, pk=batch.pk).update(next_at=now + timedelta(seconds=seconds))
    if is_ours:
        act_on_some(batch, flow, count)
    return False


def plan_wave(per_minute: int) -> tuple[int, float]:
    """Return how many flows a wave has, and how many seconds the next one waits: about a wave a second."""
    count = min(PIECE, max(1, per_minute // 60))
    return count, count * 60 / per_minute


def act_on_some(batch: Batch, flow: WatchedFlow[Any, Any], count: int) -> bool:
    """Act on so many flows at most; return whether there may be more."""
    items = claim(batch, ItemState.CHECKED, count)
    if items:
        Piece(batch, flow).act(items)
        return True
    left = batch.items.filter(state=ItemState.CHECKED)
    ended = {"state": BatchState.ENDED, "ended_at": Now()}
    Batch.objects.filter(~Exists(left), pk=batch.pk, state__in=ACTING).update(**ended)
    return False


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


def note_outcomes(batch: Batch, flow: WatchedFlow[Any, Any]) -> None:
    """Write down what became of the flows that were acted on, with one statement."""
    flows = flow.model._default_manager.filter(pk=OuterRef("flow"))
    ends = (*ENDED, Status.PARKED)
    pending = batch.items.filter(state=ItemState.ACTED, outcome=ItemOutcome.UNDER_WAY)
    pending.filter(Exists(flows.filter(status__in=ends))).update(outcome=Subquery(flows.values("status")[:1]))


def settle(batch: Batch) -> None:
    """Note that nothing of the batch is left: each flow has its outcome, or was left alone."""
    over = Batch.objects.filter(pk=batch.pk, state__in=(BatchState.ENDED, BatchState.STOPPED))
    under_way: QuerySet[BatchItem] = batch.items.filter(state=ItemState.ACTED, outcome=ItemOutcome.UNDER_WAY)
    over.filter(~Exists(under_way)).update(settled_at=timezone.now())
