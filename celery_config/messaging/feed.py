"""The feed of published events: its cursor never passes an event that is still to be committed (rule 20, the feed)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import structlog
from django.db import connection
from django.db.models import Q, QuerySet
from django.utils.crypto import constant_time_compare, salted_hmac
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError

from celery_config.messaging import epochs
from celery_config.messaging.models import Epoch, OutboxMessage

log = structlog.get_logger(__name__)
CODE_LENGTH = 16
CURSOR = re.compile(
    "(?P<transaction>[0-9]{1,19})-(?P<row>[0-9]{1,19})"
    f"(?:-(?P<epoch>[0-9a-f]{{8}})(?:-(?P<code>[0-9a-f]{{{CODE_LENGTH}}}))?)?"
)
"""The code shows that this service made it: such a cursor may prove that the database was set back."""


AFTER = OpenApiParameter(
    "after",
    {"type": "string", "pattern": rf"^(?:{re.sub(r'[?]P<[a-z]+>', '?:', CURSOR.pattern)})?$"},
    description="the `cursor` of the last one seen; empty: all",
)


@dataclass(frozen=True)
class Feed:
    """The events after a cursor, in the order in which they became visible."""

    epoch: Epoch
    events: QuerySet[OutboxMessage]
    after: str
    """The cursor as it counts in this epoch; empty: the beginning."""

    def make_cursor(self, transaction: int, row: int) -> str:
        """The cursor behind an event."""
        return sign_cursor(f"{transaction}-{row}-{self.epoch.token}")


def open_feed(after: str) -> Feed:
    """The feed after a cursor; from its beginning if the cursor is of another epoch than the present one.

    A cursor without an epoch or a code is an older release's, or a reader made it up: it proves nothing.

    Raises:
        ValidationError: this is not a cursor.
    """
    token, transaction, row = parse_cursor(after)
    is_ours = is_signed(after)
    epoch = epochs.current((token, transaction) if is_ours else None)
    following = Q(transaction__gt=transaction) | Q(transaction=transaction, id__gt=row)
    events = OutboxMessage.objects.filter(kind=OutboxMessage.Kind.EVENT).order_by("transaction", "id")
    if connection.vendor == "postgresql":
        events = events.extra(where=["transaction < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"])
    if token and token != epoch.token:
        return Feed(epoch, events, "")
    if not is_ours and is_ahead(transaction):
        log.warning("a reader's cursor is ahead, and has no code of ours", cursor=after)
        return Feed(epoch, events, "")
    return Feed(epoch, events.filter(following), after)


def is_ahead(transaction: int) -> bool:
    """Whether the cursor of an older release is one of another server."""
    present = epochs.look().next_transaction
    return present is not None and transaction >= present


def parse_cursor(text: str) -> tuple[str, int, int]:
    """Epoch, transaction and row of a cursor."""
    cursor = CURSOR.fullmatch(text or "0-0")
    if cursor is None:
        raise ValidationError({"after": "not a cursor; pass the `cursor` of the last event you saw"})
    return cursor["epoch"] or "", int(cursor["transaction"]), int(cursor["row"])


def sign_cursor(text: str) -> str:
    return f"{text}-{salted_hmac('cursor', text).hexdigest()[:CODE_LENGTH]}"


def is_signed(cursor: str) -> bool:
    """Whether this service made the cursor."""
    return constant_time_compare(cursor, sign_cursor(cursor.rpartition("-")[0]))
