"""The money of flows: what each holds, has taken or may hold, as far as the order service's own log knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import BigIntegerField, Case, CharField, QuerySet, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce

from celery_config.saga.engine.flows import WatchedFlow

HELD, TAKEN, DOUBTFUL = "held", "taken", "in doubt"
AMOUNT_PATTERN = r"^[0-9]{1,18}$"
# Data of an unreadable flow may hold anything.
AMOUNT = Case(
    When(amount_text__regex=AMOUNT_PATTERN, then=Cast("amount_text", BigIntegerField())),
    output_field=BigIntegerField(),
)
"""The amount of a row that `annotate_money` has annotated."""


@dataclass(frozen=True)
class Money:
    """An amount in minor units of `currency` that flows hold, have taken, or may hold."""

    state: str
    currency: str
    amount: int


def annotate_money(flow: WatchedFlow[Any, Any], rows: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
    """Annotate rows of a flow with the `state` of their money, its `currency`, and its `amount_text`."""
    holds = flow.money
    state: Any = Value("", CharField())
    if holds is not None:
        cases = [When(holds.taken, then=Value(TAKEN)), When(holds.held, then=Value(HELD))]
        cases.append(When(holds.doubtful, then=Value(DOUBTFUL)))
        state = Case(*cases, default=Value(""), output_field=CharField())
    annotated: QuerySet[Any, Any] = rows.annotate(
        state=state,
        currency=Coalesce(Cast(KeyTextTransform("currency", flow.data), CharField()), Value("")),
        amount_text=Cast(KeyTextTransform("amount", flow.data), CharField()),
    )
    return annotated


def read_money(flow: WatchedFlow[Any, Any], ids: Collection[UUID]) -> dict[UUID, Money]:
    """Return the money of each of these flows that has any, with one query."""
    rows = flow.model._default_manager.filter(pk__in=ids).order_by()
    found = annotate_money(flow, rows).annotate(amount=AMOUNT).values("pk", "state", "currency", "amount")
    return {
        row["pk"]: Money(row["state"], row["currency"], row["amount"])
        for row in found
        if row["state"] and row["amount"]
    }


def add_up(parts: Iterable[Mapping[str, Any]]) -> list[Money]:
    """Return the sums of parts that have `state`, `currency` and `amount`, for each state and currency."""
    sums: Counter[tuple[str, str]] = Counter()
    for part in parts:
        if part["state"] and part["amount"]:
            sums[part["state"], part["currency"] or ""] += int(part["amount"])
    return [Money(state, currency, amount) for (state, currency), amount in sorted(sums.items())]
