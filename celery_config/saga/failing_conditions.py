"""Condition of what fails before it waits for a decision: the payment provider, the carrier or a service is down.

Somebody is told within a minute, and not when tries or deadlines are used up: meanwhile each new order fails, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from django.conf import settings
from django.urls import reverse

from celery_config.common.conditions import Condition, ConditionKind, Severity
from celery_config.common.grouping import group_by
from celery_config.saga.admin.board import get_failing_url
from celery_config.saga.conditions import make_link, tell_flows
from celery_config.saga.operations.advice import advise
from celery_config.saga.operations.failing import MOST_POLLED, FailingGroup, read_failing
from celery_config.saga.operations.wording import end_sentence

PATIENCE = 20.0
"""In seconds at a scale of one: a call that fails a few times in a row is not told of."""
MANY = 5
"""From so many on somebody looks now: it is no order that is special."""
MEANWHILE = "Pause new orders meanwhile, if they fail, too."


def find_failing() -> Iterator[Condition]:
    """What is tried again and again, by who fails: one condition, whatever was asked and whatever was answered."""
    for side, groups in group_by(lambda group: group.side, read_failing(MOST_POLLED)).items():
        count = sum(len(group.ids) for group in groups)
        line = groups[0].line  # that of the most
        yield Condition(
            kind=ConditionKind.FAILING,
            cause=side,
            sentence=end_sentence(f"{tell_failing(groups)} tried again and again: {line}"),
            advice=f"{advise(line)} {MEANWHILE}".strip(),
            link=find_link(groups),
            severity=Severity.PAGE if count >= MANY else Severity.TICKET,
            count=count,
            patience=PATIENCE * settings.TIMES.scale,
        )


def tell_failing(groups: Sequence[FailingGroup]) -> str:
    """Return "3 sagas and 1 choreographed order are"; of more than are read, "at least" so many."""
    counts = Counter[str]()
    for group in groups:
        counts[group.kind] += len(group.ids)
    told = tell_flows(counts.items(), "is", "are")
    return f"At least {told}" if any(group.more for group in groups) else told


def find_link(groups: Sequence[FailingGroup]) -> str:
    """Return the address of the list with the act; of several lines that of the board, which has a row for each."""
    return make_link(get_failing_url(groups[0]) if len(groups) == 1 else reverse("admin:index"))
