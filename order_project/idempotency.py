"""Idempotency keys: one request is one order, however often it is sent (rule 1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from uuid import UUID

from celery_config.contracts.base import encode
from celery_config.db import bulk
from celery_config.db.bulk import Statement
from order_project.domain import Flow
from order_project.errors import KeyReused
from order_project.models import IdempotencyKey
from order_project.requests import OrderRequest, OrderSubmission, Outcome, Placed

CLAIMED = ("client", "key", "request_hash", "response")


def repeats(asked: Sequence[OrderSubmission]) -> dict[UUID, Outcome]:
    """The answers of those whose key another of these had first, should that one be placed."""
    first = {each.key: each for each in reversed(asked) if each.key}
    return {
        each.id: answer_of(digest(first[each.key].request), first[each.key].id, each.request)
        for each in asked
        if each.key and first[each.key] is not each
    }


def inserted(client: str, asked: Sequence[OrderSubmission]) -> list[Statement]:
    """What takes their keys, no key twice; it fails where somebody has one.

    In one order, so that two batches never wait in a circle.
    """
    wanted = sorted((each for each in asked if each.key), key=lambda each: each.key)
    return bulk.insert_statement(IdempotencyKey, [row_of(client, each) for each in wanted], CLAIMED)


def answers(client: str, asked: Sequence[OrderSubmission]) -> dict[UUID, Outcome]:
    """The answers of those whose key stands for an order already."""
    keys = [each.key for each in asked if each.key]
    if not keys:
        return {}
    earlier = {row.key: row for row in IdempotencyKey.objects.filter(client=client, key__in=keys)}
    return {
        each.id: answer_of(row.request_hash, UUID(row.response["order"]), each.request)
        for each in asked
        if (row := earlier.get(each.key))
    }


def row_of(client: str, asked: OrderSubmission) -> IdempotencyKey:
    return IdempotencyKey(
        client=client,
        key=asked.key,
        request_hash=digest(asked.request),
        response={"order": str(asked.id)},
    )


def answer_of(request_hash: str, order: UUID, request: OrderRequest) -> Outcome:
    """What a request is told whose key stands for an order that was asked for by a request of this hash."""
    return Placed(order, repeated=True) if request_hash == digest(request) else KeyReused()


def digest(request: OrderRequest) -> str:
    """What a key stands for: SHA-256 (hex) of the request."""
    asked = encode(request)
    if request.flow is Flow.ORCHESTRATED:
        del asked["flow"]  # as before there were others: keys live longer than releases
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
