"""Patience, ended on purpose: what the watchdog would decide after a day of driving is decided now.

For rehearsals on the sandbox: an order that can be neither undone nor finished is parked after a day. A rehearsal
cannot wait so long. The decision, the row and what is kept are those of the watchdog.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from celery_config.saga.engine.flows import WatchedFlow
from celery_config.saga.engine.machine import WatchdogFired
from celery_config.saga.engine.unit_of_work import UnitOfWork
from celery_config.saga.states import Status

DRIVEN_FOR_A_DAY = (Status.STOPPING, Status.FORWARD)


@transaction.atomic
def end_patience(flow: WatchedFlow[Any, Any], ids: Collection[UUID]) -> set[UUID]:
    """Park those of these rows that are being stopped or finished, as the watchdog does when its patience is over.

    Returns:
        the ids of the rows that are parked now.
    """
    rows = flow.lock(ids)
    work = UnitOfWork.begin(flow, rows)
    for row in rows:
        if row.status in DRIVEN_FOR_A_DAY:
            row.since = work.now - timedelta(seconds=settings.TIMES.compensation_timeout)
            work.apply_trigger(row, WatchdogFired())
    work.write()
    return {row.pk for row in rows if row.status == Status.PARKED}
