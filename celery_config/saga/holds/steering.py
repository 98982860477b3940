"""Holding and letting go. The list of holds, which every service reads, changes in the same transaction."""

from __future__ import annotations

import math
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from celery_config.db.functions import Now
from celery_config.errors import OperatorRefused
from celery_config.messaging import epochs
from celery_config.messaging.holds.hold_list import lock_row, write_holds
from celery_config.messaging.holds.targets import KnownHold
from celery_config.messaging.models import HoldList
from celery_config.saga.holds.choosing import Target
from celery_config.saga.holds.models import Hold
from celery_config.saga.models import OperatorAction
from celery_config.saga.operations.audit_trail import check_reason, record_action

MOST_OPEN, MOST_NAMED = 100, 10_000
"""Holds that last, and flows that they name: every worker of every service keeps them all in memory."""
SLOWEST, FASTEST = 0.1, 1000.0
"""Flows a second that may be let go."""


def list_open() -> QuerySet[Hold]:
    """The holds that last, the oldest first."""
    return Hold.objects.filter(ended_at__isnull=True).order_by("id")


def publish(row: HoldList) -> list[KnownHold]:
    """Write what is held now over the locked row; the participants read it from there."""
    holds = [hold.make_known() for hold in list_open()]
    write_holds(row, epochs.current().token, holds)
    return holds


def hold(target: Target, *, undos: bool = False, by: str, why: str) -> OperatorAction:
    """Hold what was chosen, from now on.

    Args:
        undos: whether undos and fences are held, too; then a cancelled flow waits as well.

    Raises:
        OperatorRefused: the reason is empty, it is held already, or too much is held.
    """
    check_reason(why)
    with transaction.atomic():
        row = lock_row()
        if not target.flows and is_held(target):
            raise OperatorRefused(f"{target.label} is held already")
        if why_not := explain_excess(target):
            raise OperatorRefused(why_not)
        made = target.make_hold(undos=undos, by=by, why=why)
        made.save(force_insert=True)
        publish(row)
        what = "undos and fences are held, too" if undos else "undos and fences go on"
        return record_action(
            "hold",
            by=by,
            why=why,
            what=target.label,
            subject=str(made.pk),
            result_text=f"{target.label} is held; {what}",
        )


def explain_excess(target: Target) -> str:
    """Return why nothing more can be held; empty: it can. Call it while the list is locked."""
    named = list(list_open().values_list("flows", flat=True))
    if len(named) >= MOST_OPEN:
        return f"{len(named):,} holds last already; let go of some first"
    count = sum(map(len, named)) + len(target.flows)
    if target.flows and count > MOST_NAMED:
        return f"{count:,} flows would be held by their ids, more than {MOST_NAMED:,}; hold a step, or let go of some"
    return ""


def is_held(target: Target) -> bool:
    """Whether a hold of the same kind and name lasts."""
    return list_open().filter(kind=target.kind.value, name=target.name).exists()


def let_go(pk: UUID, *, per_second: float | None = None, by: str, why: str) -> OperatorAction:
    """Let go of what a hold holds: all at once, or in waves, the oldest flows first.

    Args:
        per_second: how many flows are let go in a second; None: all now. It may be changed while it lasts.

    Raises:
        OperatorRefused: the reason is empty, the hold has ended, or the rate is not between `SLOWEST` and `FASTEST`.
        Hold.DoesNotExist: there is none.
    """
    check_reason(why)
    if per_second is not None and not (math.isfinite(per_second) and SLOWEST <= per_second <= FASTEST):
        raise OperatorRefused(f"let go of {SLOWEST:g} to {FASTEST:g} flows a second, or of all at once")
    with transaction.atomic():
        row = lock_row()
        found = Hold.objects.select_for_update().get(pk=pk)
        if found.ended_at is not None:
            raise OperatorRefused(f"{found.label} is not held any more")
        if per_second is None:
            end_hold(row, found)
        else:
            Hold.objects.filter(pk=pk).update(per_second=per_second)
        how = "all at once" if per_second is None else name_rate(per_second)
        return record_action(
            "let go",
            by=by,
            why=why,
            what=found.label,
            subject=str(pk),
            result_text=f"{found.label} is let go: {how}",
        )


def name_rate(per_second: float) -> str:
    return f"{per_second:g} {'flow' if per_second == 1 else 'flows'} a second"


def end_hold(row: HoldList, found: Hold) -> list[KnownHold]:
    """End a locked hold, and publish what is left."""
    Hold.objects.filter(pk=found.pk).update(ended_at=Now())
    return publish(row)
