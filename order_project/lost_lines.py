"""Lost lines: an order that came back from others' books without its lines waits for a human, who settles that.

The audit can compare nothing with such an order's total. It names the order until an operator has settled it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db import transaction

from celery_config.errors import OperatorRefused
from celery_config.saga.models import OperatorAction, WatchedRow
from celery_config.saga.operations.audit_trail import check_reason, record_action

RECOVER, SETTLE = "recover", "settle lines"
LINES_LOST = (
    "its lines are lost: ask its client, and say so with ./manage.py order settle_lines when it is settled"
)
WHAT = "the order, without its lines"


def record_recovery(row: WatchedRow, note: str, *, lines_lost: bool) -> None:
    """Record that an order was written back; call it in that transaction."""
    what = WHAT if lines_lost else "the order"
    record_action(RECOVER, row=row, by="recover", why=note, what=what, result_text=f"written as {row.status}")


def find_lost(orders: Collection[str] | None = None) -> set[str]:
    """The orders, of these or of all, that came back without their lines."""
    found = OperatorAction.objects.filter(verb=RECOVER, what=WHAT)
    if orders is not None:
        found = found.filter(subject__in=orders)
    return set(found.values_list("subject", flat=True))


def find_unsettled() -> list[str]:
    """The orders whose lost lines no operator has settled."""
    lost = find_lost()
    settled = OperatorAction.objects.filter(verb=SETTLE, subject__in=lost).values_list("subject", flat=True)
    return sorted(lost - set(settled))


@transaction.atomic
def settle(orders: Iterable[str], *, by: str, why: str) -> None:
    """Record that a human has settled what became of the orders' lines.

    Raises:
        OperatorRefused: no reason is given, or an order has not lost its lines; nothing is recorded.
    """
    check_reason(why)
    wanted = list(orders)
    if strangers := set(wanted) - find_lost(wanted):
        raise OperatorRefused(f"no order that came back without its lines: {', '.join(sorted(strangers))}")
    for order in wanted:
        record_action(
            SETTLE,
            subject=order,
            by=by,
            why=why,
            what="its lines",
            result_text="the audit names it no longer",
        )
