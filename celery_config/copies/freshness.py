"""The lag of a copy: the age of the oldest change at the source that the copy does not have.

The source lists its changes in the order in which they became visible, and a cursor marks the place up to which the
copy has all of them. So the lag is right when nothing changes, and also when an event is lost: the change that does
not arrive grows older until the copy requests the row.

A source that was set back says so by another epoch, or its row is older than ours, which nothing else can cause. Then
the copy is refilled: its versions and its cursor count for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction

from celery_config.copies import resync, store, sync
from celery_config.copies.models import FINAL_VERSION, CopyState
from celery_config.copies.readers import CopyReader
from celery_config.copies.registry import Copy, copies
from celery_config.copies.source_client import ChangePage, RowChange, SourceClient
from celery_config.db import functions

log = structlog.get_logger(__name__)
MAX_PAGES = 20
LAG_UNKNOWN = "late, and by how much is not known"
"""Another check says why: of the source, or of the relay."""


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
    copy, state = source.copy, get_state(source.copy)
    cursor, page = state.cursor, source.fetch_changes(state.cursor)
    if page.recovering:
        log.warning("the source is being recovered; the copy waits for it", copy=copy.name)
        return
    if page.epoch != state.rebuilt_epoch:
        begin_again(source, page.epoch)
        cursor, page = "", source.fetch_changes("")
    cursor, missing = read_changes(source, page, cursor)
    now = functions.fetch_now()
    lag = missing[0].age if missing else 0.0
    CopyState.objects.filter(pk=copy.name, epoch=page.epoch).update(
        cursor=cursor, looked_at=now, behind_since=now - timedelta(seconds=lag) if missing else None
    )
    request_overdue(copy, missing)


def read_changes(source: SourceClient, page: ChangePage, cursor: str) -> tuple[str, list[RowChange]]:
    """The cursor behind all changes that the copy has, and the changes that it does not have.

    Args:
        page: the changes after `cursor`; the next pages are fetched.
    """
    copy, newest = source.copy, dict[str, int]()
    for _ in range(MAX_PAGES):
        known = store.read_versions(copy, {change.key for change in page.changes})
        missing = [change for change in page.changes if known.get(change.key, 0) < change.version]
        if missing:
            before = page.changes[: page.changes.index(missing[0])]
            return before[-1].cursor if before else cursor, missing
        newest |= {change.key: change.version for change in page.changes}
        done, cursor = page.cursor == cursor or not page.changes, page.cursor
        if done:
            mend_ahead(source, newest)
            break
        page = source.fetch_changes(cursor)
    return cursor, []


def begin_again(source: SourceClient, epoch: str) -> None:
    """Refill the copy in the source's new epoch. Events of other epochs are dropped from now on."""
    copy = CopyState.objects.filter(pk=source.copy.name)
    # A new copy expects its first epoch.
    tell = log.warning if copy.exclude(epoch="").exists() else log.info
    tell("the source begins a new epoch; the copy is refilled", copy=source.copy.name, epoch=epoch)
    copy.update(epoch=epoch, cursor="")
    mended = sync.rebuild(source).mended
    copy.filter(epoch=epoch).update(rebuilt_epoch=epoch)
    log.info("the copy is refilled", copy=source.copy.name, epoch=epoch, rows=mended)


def mend_ahead(source: SourceClient, newest: Mapping[str, int]) -> None:
    """Refill the copy if a row is newer than its source's: the source was set back and does not know it.

    Args:
        newest: the newest version that the source announced, by key. A newer one may have come since, so the copy's row
            and then the source's are read again.
    """
    known = store.read_versions(source.copy, newest)
    suspects = [key for key, version in newest.items() if version < known.get(key, 0) != FINAL_VERSION]
    if not suspects:
        return
    ours = CopyReader(source.copy).read_keys(suspects)
    theirs = source.read_keys(suspects)
    ahead = [key for key, row in ours.items() if key not in theirs or theirs[key].version < row.version]
    if ahead:
        log.error(
            "the copy is ahead of its source, which was set back", copy=source.copy.name, keys=ahead[:20]
        )
        sync.rebuild(source)


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
    """For `/flowz`; begins with `ok` while no copy is late and none differs. Empty: none is kept here."""
    if not copies:
        return ""
    now, worst = functions.fetch_now(), 0.0
    late, unknown, differing = list[str](), list[str](), list[str]()
    for state in list_states():
        lag = compute_lag(state, now)
        if lag is None:
            service = copies[state.name].service
            unknown.append(f"{state.name} ({service} does not answer, or our relay does not run)")
        elif lag > settings.COPY_LAG_LIMIT_SECONDS:
            late.append(f"{state.name} {lag:.0f} s behind")
        if state.differing:
            differing.append(f"{state.name} in {state.differing} rows")
        worst = max(worst, lag or 0.0)
    if late:
        return f"late: {'; '.join([*late, *unknown])}"
    if unknown:
        return f"{LAG_UNKNOWN}: {'; '.join(unknown)}"
    # Only a warning: everything moves, and somebody must look why they differ.
    differs = f"warning: copies differ from their source: {'; '.join(differing)}"
    return differs if differing else f"ok: {worst:.1f} s behind"
