"""Condition of how orders end, of which somebody is told: most of them are cancelled for one cause. A pure read.

One cancelled order is daily business. When most are refused alike, the one who refuses is wrong, or what is asked is.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from celery_config.common.conditions import Condition, ConditionKind
from celery_config.saga.causes import CANCELLED_BY_US, GAVE_UP
from celery_config.saga.conditions import make_link
from celery_config.saga.states import Status
from celery_config.saga.sums.reading import read_lately
from order_project.board import find_orders
from order_project.models import Choreography
from order_project.sagas.place_order import PlaceOrder

LEAST = 10
"""So many have ended before anything is said of most of them."""
SHORTEST, LONGEST = timedelta(minutes=3), timedelta(hours=1)
"""What ended in the last minutes counts; with few orders what ended in the last hour."""
TOLD_OTHERWISE = (CANCELLED_BY_US["code"], "dead_letter", *GAVE_UP)
"""Causes of which other conditions tell, or that a person chose."""


def find_cancelled() -> Iterator[Condition]:
    """The cause for which more than half of the last orders were cancelled."""
    span = (SHORTEST * settings.TIMES.scale, LONGEST)
    lately = read_lately([PlaceOrder.name, Choreography.name], timezone.now(), LEAST, span)
    if lately.ended < LEAST:
        return
    for code, count in lately.causes.items():
        if code not in TOLD_OTHERWISE and 2 * count > lately.ended:
            yield Condition(
                kind=ConditionKind.CANCELLED,
                cause=code,
                sentence=f"{count:,} of the last {lately.ended:,} orders were cancelled for one cause:"
                f" {code.replace('_', ' ') or 'not known'}.",
                advice="Open one of them: its page says who refused it, and why. Ask there, and pause new orders until"
                " it is mended.",
                link=make_link(find_orders(lately.since, None, Status.COMPENSATED, code)),
                count=count,
            )
