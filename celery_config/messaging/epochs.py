"""The epoch: which history a database tells. It changes when the database is set back (rule 20, the feed).

Cursors, the versions of published rows and the ids of their events are promises that a database set back does not keep:
it gives them a second time, for other contents. So each of them belongs to an epoch. A reader that meets another epoch
begins again; what it holds of the old one counts for nothing.

Three things end an epoch. `recover --begin` says that the database was restored. The database runs on another server or
timeline than before: the server's own identity says so. Or there is proof: a row written by a transaction, or a cursor
made of one, that this server has not reached yet. After all but a change of the timeline, which is also how a standby
takes over, the service is *recovering*: it starts nothing for clients until `recover` is done.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

import structlog
from django.db import connection, transaction
from django.db.models.expressions import RawSQL

from celery_config.db.functions import Now
from celery_config.errors import Recovering
from celery_config.messaging.models import Epoch, OutboxMessage

log = structlog.get_logger(__name__)
TOKEN_LENGTH = 8
SERVER = (
    "SELECT system_identifier::text || '/' || timeline_id FROM pg_control_system() AS cluster,"
    " pg_control_checkpoint() AS checkpoint"
)
# What a transaction wrote that this server has not reached came from elsewhere. Our own is not finished yet, either.
NEXT_TRANSACTION = "pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
FROM_ELSEWHERE = (
    f"transaction >= {NEXT_TRANSACTION}"
    " AND transaction IS DISTINCT FROM pg_current_xact_id_if_assigned()::text::bigint"
)
ASK = f"""
    SELECT ({SERVER}), {NEXT_TRANSACTION}, EXISTS (
        SELECT FROM messaging_outboxmessage WHERE kind = 'event' AND {FROM_ELSEWHERE}
    )"""
IS_RECOVERING = "EXISTS (SELECT 1 FROM messaging_epoch WHERE recovering_since IS NOT NULL)"
"""For a statement that is executed anyway."""


RECHECK_SECONDS = 1.0
NEVER = -1e9
_known: tuple[float, datetime | None] = (NEVER, None)


@dataclass(frozen=True)
class Present:
    """What the database's server says of itself.

    Args:
        server: its cluster and timeline; empty where it has none.
        next_transaction: no transaction with this id or a higher one has ended here; None where they have no ids.
        holds_others: whether there are events that another server's transactions wrote.
    """

    server: str
    next_transaction: int | None
    holds_others: bool

    @property
    def cluster(self) -> str:
        return self.server.partition("/")[0]


def look() -> Present:
    if connection.vendor != "postgresql":
        return Present("", None, holds_others=False)
    with connection.cursor() as cursor:
        cursor.execute(ASK)
        return Present(*cursor.fetchone())


def current(cursor: tuple[str, int] | None = None) -> Epoch:
    """Return the epoch of this database; a new one if the database proves to be set back.

    Args:
        cursor: token and transaction of a reader's cursor, which may prove it.
    """
    row, present = Epoch.objects.first() or _create(), look()
    if why := _find_proof(row, present, cursor):
        return begin(why, present=present, seen=row.token)
    if row.server != present.server:
        return begin("another timeline", present=present, seen=row.token, recovering=False)
    return row


def _create() -> Epoch:
    row, _ = Epoch.objects.get_or_create(pk=1, defaults={"token": _make_token(), "server": look().server})
    return row


def _find_proof(row: Epoch, present: Present, cursor: tuple[str, int] | None) -> str:
    """Say what proves that the database was set back since the epoch began; empty if nothing does."""
    if present.cluster != row.server.partition("/")[0]:
        return f"the database's cluster is {present.cluster or 'none'} and was {row.server}"
    if present.holds_others:
        return "there are events that transactions of another server wrote"
    if cursor and present.next_transaction is not None:
        token, at = cursor
        if token == row.token and at >= present.next_transaction:
            return f"a reader has seen transaction {at}, and {present.next_transaction} has not begun here"
    return ""


@transaction.atomic
def begin(why: str, *, present: Present | None = None, seen: str = "", recovering: bool = True) -> Epoch:
    """Begin a new epoch; the feed serves all events again, in the order in which they were written.

    Args:
        seen: the token of the epoch that ends. If it has ended already, nothing happens.
        recovering: refuse what clients ask for until `recover` is done.
    """
    _create()
    row = Epoch.objects.select_for_update().get(pk=1)
    if seen and row.token != seen:
        return row
    if connection.vendor == "postgresql":
        # A row that is visible here is complete, so readers may have it whatever its transaction's id was elsewhere.
        horizon = RawSQL("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint", ())
        OutboxMessage.objects.filter(kind=OutboxMessage.Kind.EVENT, transaction__gte=horizon).update(
            transaction=0
        )
    row.token, row.server = _make_token(), (present or look()).server
    row.began_at, row.why = Now(), why[:300]
    if recovering:
        row.recovering_since = Now()
    row.save()
    forget_known()
    log.warning("a new epoch began", why=why, epoch=row.token, recovering=recovering)
    row.refresh_from_db()
    return row


def end_recovery() -> None:
    """Let clients in again."""
    forget_known()
    Epoch.objects.filter(pk=1).update(recovering_since=None)


def is_recovering() -> bool:
    return Epoch.objects.filter(recovering_since__isnull=False).exists()


def find_recovery() -> datetime | None:
    """Return when the epoch began that is being recovered, or None; asked once a second and process.

    A worker's every undo and fence asks, and nothing of an order may cost a statement more for it.
    """
    global _known
    asked_at, began_at = _known
    if time.monotonic() - asked_at > RECHECK_SECONDS:
        row = Epoch.objects.filter(recovering_since__isnull=False).first()
        _known = time.monotonic(), row.began_at if row else None
        _, began_at = _known
    return began_at


def forget_known() -> None:
    """Let the next question reach the database."""
    global _known
    _known = (NEVER, None)


def check_not_recovering() -> None:
    """Raise Recovering while the service waits for `recover`."""
    row = Epoch.objects.filter(recovering_since__isnull=False).first()
    if row:
        raise Recovering(
            f"This service's database was restored ({row.why}). It takes nothing new from clients until its recovery is"
            " done. What you asked for was not done; ask again later with the same key."
        )


def _make_token() -> str:
    return uuid4().hex[:TOKEN_LENGTH]
