"""Idempotency keys: one request is one order, however often it is sent (rule 1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from uuid import UUID

from celery_config import rows
from celery_config.messages import encode
from celery_config.rows import Change
from order_project.asked import Asked, OrderRequest, Outcome, Placed
from order_project.domain import Flow
from order_project.errors import KeyReused
from order_project.models import IdempotencyKey

CLAIMED = ("client", "key", "request_hash", "response")


def may_be_new(asked: Sequence[Asked]) -> bool:
    """Whether no key comes twice among these."""
    keys = [each.key for each in asked if each.key]
    return len(keys) == len(set(keys))


def inserted(client: str, asked: Sequence[Asked]) -> list[Change]:
    """What takes keys that nobody has; it fails where somebody does."""
    return rows.inserted(IdempotencyKey, rows_of(client, asked), CLAIMED)


def claim(client: str, asked: Sequence[Asked]) -> dict[UUID, Outcome]:
    """Take the keys for these orders; return the answers of those whose key stands for an order already.

    A twin waits here, until the transaction ends.
    """
    wanted = rows_of(client, asked)
    taken = set(rows.insert_new(IdempotencyKey, wanted, CLAIMED, returning="key"))
    ours = {row.response["order"] for row in wanted if row.key in taken}
    return answers(client, [each for each in asked if str(each.id) not in ours])


def answers(client: str, asked: Sequence[Asked]) -> dict[UUID, Outcome]:
    """The answers of those whose key stands for an order already."""
    keys = [each.key for each in asked if each.key]
    if not keys:
        return {}
    earlier = {row.key: row for row in IdempotencyKey.objects.filter(client=client, key__in=keys)}
    return {each.id: answer_of(earlier[each.key], each.request) for each in asked if each.key in earlier}


def give_back(client: str, keys: Sequence[str]) -> None:
    """A refused request may come again, with the same key, and be accepted."""
    if keys:
        IdempotencyKey.objects.filter(client=client, key__in=keys).delete()


def rows_of(client: str, asked: Sequence[Asked]) -> list[IdempotencyKey]:
    """A row for each key, for the first that has it; in one order, so that two batches never wait in a circle."""
    first = {each.key: each for each in reversed(asked) if each.key}
    return [
        IdempotencyKey(
            client=client,
            key=key,
            request_hash=digest(first[key].request),
            response={"order": str(first[key].id)},
        )
        for key in sorted(first)
    ]


def answer_of(earlier: IdempotencyKey, request: OrderRequest) -> Outcome:
    if earlier.request_hash != digest(request):
        return KeyReused()
    return Placed(UUID(earlier.response["order"]), repeated=True)


def digest(request: OrderRequest) -> str:
    """What a key stands for: SHA-256 (hex) of the request."""
    asked = encode(request)
    if request.flow is Flow.ORCHESTRATED:
        del asked["flow"]  # as before there were others: keys live longer than releases
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
