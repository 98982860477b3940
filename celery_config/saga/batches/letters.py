"""Dead letters in a batch: a piece is checked and acted on as flows are, and one bad letter harms only itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import transaction
from django.db.models import Case, F, OuterRef, Q, QuerySet, Subquery, Value, When

from celery_config.db import bulk
from celery_config.db.functions import Now
from celery_config.saga.batches.acting import WRITTEN, ItemPiece
from celery_config.saga.batches.dry_run import GONE, MOVED, set_aside
from celery_config.saga.batches.models import BatchItem
from celery_config.saga.batches.states import ItemOutcome, ItemState
from celery_config.saga.dead_letters.remedies import ABOUT, Remedy, find_flows, find_refusal
from celery_config.saga.models import DeadLetter, LetterAct


class LetterKind:
    """Dead letters, as a batch chooses them."""

    model = DeadLetter
    verbs: Mapping[str, str] = ABOUT


LETTERS = LetterKind()


class LetterPiece(ItemPiece):
    """Some letters of one batch."""

    def check(self, items: Sequence[BatchItem]) -> None:
        letters = DeadLetter.objects.in_bulk([item.letter for item in items])
        rows = find_flows(letters.values())
        for item in items:
            letter = letters.get(item.letter or 0)
            if letter is None or letter.dealt_with_at:
                set_aside(item, ItemState.LEFT, MOVED if letter else GONE)
            elif refusal := find_refusal(letter, self.batch.verb, rows):
                set_aside(item, ItemState.REFUSED, refusal)
            else:
                item.state, item.would_be = ItemState.CHECKED.value, str(LetterAct(self.batch.verb).label)

    def note_outcomes(self, pending: QuerySet[BatchItem]) -> int:
        letters = DeadLetter.objects.filter(pk=OuterRef("letter"))
        known = letters.filter(~Q(became="") | Q(act=LetterAct.DISMISS))
        became = Case(
            When(act=LetterAct.DISMISS, then=Value(ItemOutcome.DISMISSED.value)), default=F("became")
        )
        told = pending.annotate(told=Subquery(known.annotate(told=became).values("told")[:1]))
        return int(told.filter(told__isnull=False).update(outcome=F("told")))

    def act_on_all(self, items: Sequence[BatchItem]) -> int:
        remedy = Remedy(LetterAct(self.batch.verb), self.batch.by, self.batch.why, str(self.batch))
        with transaction.atomic():
            locked = BatchItem.objects.select_for_update().filter(
                pk__in=[item.pk for item in items], state=ItemState.CHECKED
            )
            left = {item.letter: item for item in locked.order_by("pk")}
            rows = DeadLetter.objects.select_for_update().filter(pk__in=left).order_by("pk")
            letters = {row.pk: row for row in rows}
            fresh = [row for row in letters.values() if not row.dealt_with_at]
            for pk, item in left.items():
                set_aside(item, ItemState.LEFT, MOVED if pk in letters else GONE)
            acted = remedy.apply(fresh)
            for each in acted:
                item = left[each.letter.pk]
                if each.refusal:
                    set_aside(item, ItemState.REFUSED, each.refusal)
                else:
                    item.state, item.reason, item.acted_at = ItemState.ACTED.value, "", Now()
                    item.would_be = str(LetterAct(self.batch.verb).label)
            bulk.update(BatchItem, list(left.values()), WRITTEN)
        return sum(not each.refusal for each in acted)
