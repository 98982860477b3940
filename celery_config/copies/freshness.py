"""The lag of a copy: the age of the oldest change at the source that the copy does not have.

The source lists its changes in the order in which they became visible, and a cursor marks the place up to which the
copy has all of them. So the lag is right when nothing changes, and also when an event is lost: the change that does
not arrive grows older until the copy requests the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction

from celery_config.copies import resync, store
from celery_config.copies.models import CopyState
from celery_config.copies.registry import Copy, copies
from celery_config.copies.source_client import RowChange, SourceClient
from celery_config.db import functions

log = structlog.get_logger(__name__)
MAX_PAGES = 20


def get_state(copy: Copy) -> CopyState:
    state, _ = CopyState.objects.get_or_create(name=copy.name)
    return state


def list_states() -> list[CopyState]:
    """One for each copy kept here, even if its lag has never been measured."""
    known = {state.name: state for state in CopyState.objects.all()}
    return [known.get(name) or CopyState(name=name) for name in sorted(copies)]


def measure_lag(source: SourceClient) -> None:
    """Move the cursor past all changes that the copy has, store the lag, and request rows that are overdue.

    Raises:
        ServiceCallError: the source does not answer.
    """
    copy = source.copy
    cursor, missing = get_state(copy).cursor, list[RowChange]()
    for _ in range(MAX_PAGES):
        page = source.fetch_changes(cursor)
        known = store.read_versions(copy, {change.key for change in page.changes})
        missing = [change for change in page.changes if known.get(change.key, 0) < change.version]
        if missing:
            before = page.changes[: page.changes.index(missing[0])]
            cursor = before[-1].cursor if before else cursor
            break
        done, cursor = page.cursor == cursor or not page.changes, page.cursor
        if done:
            break
    now = functions.fetch_now()
    lag = missing[0].age if missing else 0.0
    CopyState.objects.filter(pk=copy.name).update(
        cursor=cursor, looked_at=now, behind_since=now - timedelta(seconds=lag) if missing else None
    )
    request_overdue(copy, missing)


def request_overdue(copy: Copy, missing: Sequence[RowChange]) -> None:
    """Request the rows of changes that are older than the silence timeout: their events were lost."""
    overdue = {change.key for change in missing if change.age > settings.TIMES.silence_timeout}
    if overdue:
        log.warning("changes that never came are asked for", copy=copy.name, rows=len(overdue))
        with transaction.atomic():
            resync.request_rows(copy, sorted(overdue), delay=0)


def compute_lag(state: CopyState, now: datetime) -> float | None:
    """Seconds behind the source; None if the last measurement is too old to tell."""
    if state.looked_at is None or (now - state.looked_at).total_seconds() > settings.COPY_LAG_LIMIT_SECONDS:
        return None
    return (now - state.behind_since).total_seconds() if state.behind_since else 0.0


def describe_state(state: CopyState) -> dict[str, Any]:
    """For the API."""
    copy = copies[state.name]
    return {
        "name": state.name,
        "source": f"{copy.service}.{copy.source}",
        "lag_seconds": compute_lag(state, functions.fetch_now()),
        "looked_at": state.looked_at,
        "checked_at": state.checked_at,
        "rows": state.rows,
        "differing": state.differing,
    }


def summarize_lag() -> str:
    """For `/flowz`; begins with `ok` while no copy is late. Empty: none is kept here."""
    if not copies:
        return ""
    now, late, worst = functions.fetch_now(), list[str](), 0.0
    for state in list_states():
        lag = compute_lag(state, now)
        if lag is None:
            service = copies[state.name].service
            late.append(f"{state.name} unknown: does the relay run, and does {service} answer?")
        elif lag > settings.COPY_LAG_LIMIT_SECONDS:
            late.append(f"{state.name} {lag:.0f} s behind")
        worst = max(worst, lag or 0.0)
    return f"late: {'; '.join(late)}" if late else f"ok: {worst:.1f} s behind"
