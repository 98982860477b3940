"""The feed of published events: its cursor never passes an event that is still to be committed (rule 20, the feed)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.db import connection
from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError

from celery_config.messaging import epochs
from celery_config.messaging.models import Epoch, OutboxMessage

CURSOR = re.compile("(?P<transaction>[0-9]{1,19})-(?P<row>[0-9]{1,19})(?:-(?P<epoch>[0-9a-f]{8}))?")


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
        return f"{transaction}-{row}-{self.epoch.token}"


def open_feed(after: str) -> Feed:
    """The feed after a cursor; from its beginning if the cursor is of another epoch than the present one.

    A cursor without an epoch is an older release's.

    Raises:
        ValidationError: this is not a cursor.
    """
    token, transaction, row = parse_cursor(after)
    epoch = epochs.current((token, transaction))
    following = Q(transaction__gt=transaction) | Q(transaction=transaction, id__gt=row)
    events = OutboxMessage.objects.filter(kind=OutboxMessage.Kind.EVENT).order_by("transaction", "id")
    if connection.vendor == "postgresql":
        events = events.extra(where=["transaction < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"])
    if token != epoch.token and (token or is_ahead(transaction)):
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
