"""The feed of published events: its cursor never passes an event that is still to be committed (rule 20, the feed)."""

from __future__ import annotations

import re

from django.db import connection
from django.db.models import Q, QuerySet
from rest_framework.exceptions import ValidationError

from celery_config.messaging.models import OutboxMessage

CURSOR = re.compile("(?P<transaction>[0-9]{1,19})-(?P<row>[0-9]{1,19})")


def feed_after(cursor: str) -> QuerySet[OutboxMessage]:
    """The events after a cursor, in the order in which they became visible.

    Raises:
        ValidationError: this is not a cursor.
    """
    transaction, row = parse_cursor(cursor)
    feed = (
        OutboxMessage.objects.filter(kind=OutboxMessage.Kind.EVENT)
        .filter(Q(transaction__gt=transaction) | Q(transaction=transaction, id__gt=row))
        .order_by("transaction", "id")
    )
    if connection.vendor == "postgresql":
        feed = feed.extra(where=["transaction < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"])
    return feed


def parse_cursor(text: str) -> tuple[int, int]:
    cursor = CURSOR.fullmatch(text or "0-0")
    if cursor is None:
        raise ValidationError({"after": "not a cursor; pass the `cursor` of the last event you saw"})
    return int(cursor["transaction"]), int(cursor["row"])
