"""Idempotency keys: one request makes one order, however often it is sent (rule 1, the start)."""

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
from order_project.requests import OrderRequest, OrderSubmission, Placed, PlacingResult

CLAIMED = ("client", "key", "request_hash", "response")


def find_repeats(submissions: Sequence[OrderSubmission]) -> dict[UUID, PlacingResult]:
    """Return the answers to submissions whose key an earlier one of this batch has, if that one is placed."""
    first = {each.key: each for each in reversed(submissions) if each.key}
    return {
        each.id: answer_repeat(hash_request(first[each.key].request), first[each.key].id, each.request)
        for each in submissions
        if each.key and first[each.key] is not each
    }


def claim_statements(client: str, submissions: Sequence[OrderSubmission]) -> list[Statement]:
    """Return what inserts the keys of these submissions; it fails when a key is taken.

    The keys are sorted, so that two batches never wait for each other in a circle.
    """
    wanted = sorted((each for each in submissions if each.key), key=lambda each: each.key)
    return bulk.insert_statement(IdempotencyKey, [make_row(client, each) for each in wanted], CLAIMED)


def read_answers(client: str, submissions: Sequence[OrderSubmission]) -> dict[UUID, PlacingResult]:
    """Return the answers to submissions whose key stands for a placed order already, by id."""
    keys = [each.key for each in submissions if each.key]
    if not keys:
        return {}
    earlier = {row.key: row for row in IdempotencyKey.objects.filter(client=client, key__in=keys)}
    return {
        each.id: answer_repeat(row.request_hash, UUID(row.response["order"]), each.request)
        for each in submissions
        if (row := earlier.get(each.key))
    }


def make_row(client: str, submission: OrderSubmission) -> IdempotencyKey:
    return IdempotencyKey(
        client=client,
        key=submission.key,
        request_hash=hash_request(submission.request),
        response={"order": str(submission.id)},
    )


def answer_repeat(request_hash: str, order: UUID, request: OrderRequest) -> PlacingResult:
    """Answer a request whose key stands for `order`, which a request with this hash made."""
    return Placed(order, repeated=True) if request_hash == hash_request(request) else KeyReused()


def hash_request(request: OrderRequest) -> str:
    """Return the SHA-256 (hex) of a request: what its key stands for."""
    content = encode(request)
    if request.flow is Flow.ORCHESTRATED:
        del content["flow"]  # keys live longer than releases, and the first releases had one flow
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
