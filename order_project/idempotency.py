"""Idempotency keys: one request makes one order, however often it is sent (rule 1, the start)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from operator import attrgetter
from uuid import UUID

from celery_config.contracts.base import encode
from celery_config.db import bulk
from celery_config.db.bulk import Statement
from order_project.domain import Flow, PriceSource, RequestLine, merge_request_lines
from order_project.errors import KeyReused
from order_project.models import IdempotencyKey, Order
from order_project.requests import OrderRequest, OrderSubmission, Placed, PlacingResult

CLAIMED = ("client", "key", "request_hash", "response")


def find_repeats(submissions: Sequence[OrderSubmission]) -> dict[UUID, PlacingResult]:
    """Return the answers to submissions whose key or reference an earlier one of this batch has, if that is placed."""
    repeats: dict[UUID, PlacingResult] = {}
    for name in (attrgetter("key"), attrgetter("request.reference")):
        first: dict[str, OrderSubmission] = {}
        for each in submissions:
            if not name(each) or each.id in repeats:
                continue
            known = first.setdefault(name(each), each)
            if known is not each:
                repeats[each.id] = answer_repeat(hash_request(known.request), known.id, each.request)
    return repeats


def claim_statements(client: str, submissions: Sequence[OrderSubmission]) -> list[Statement]:
    """Return what inserts the keys of these submissions; it fails when a key is taken.

    The keys are sorted, so that two batches never wait for each other in a circle.
    """
    wanted = sorted((each for each in submissions if each.key), key=lambda each: each.key)
    return bulk.insert_statement(IdempotencyKey, [make_row(client, each) for each in wanted], CLAIMED)


def read_answers(client: str, submissions: Sequence[OrderSubmission]) -> dict[UUID, PlacingResult]:
    """Return the answers to submissions whose key or reference stands for a placed order already, by id.

    A key is forgotten after some time; an order keeps its reference.
    """
    keys = [each.key for each in submissions if each.key]
    earlier = (
        {row.key: row for row in IdempotencyKey.objects.filter(client=client, key__in=keys)} if keys else {}
    )
    answers = {
        each.id: answer_repeat(row.request_hash, UUID(row.response["order"]), each.request)
        for each in submissions
        if (row := earlier.get(each.key))
    }
    return answers | read_references([each for each in submissions if each.id not in answers])


def read_references(submissions: Sequence[OrderSubmission]) -> dict[UUID, PlacingResult]:
    """Return the answers to submissions whose reference an order has."""
    references = [each.request.reference for each in submissions if each.request.reference]
    if not references:
        return {}
    orders = Order.objects.filter(reference__in=references).prefetch_related("lines")
    earlier = {order.reference: order for order in orders}
    return {
        each.id: Placed(order.id, repeated=True) if is_same_order(order, each.request) else KeyReused()
        for each in submissions
        if (order := earlier.get(each.request.reference))
    }


def is_same_order(order: Order, request: OrderRequest) -> bool:
    """Whether the request asks for what the order is. Of an erased customer's order, customer and address are gone."""
    ordered = merge_request_lines(
        RequestLine(
            sku=line.sku,
            quantity=line.quantity,
            unit_price=line.unit_price if line.price_source == PriceSource.AGREED else None,
        )
        for line in order.lines.all()
    )
    lines, asked = frozenset(ordered), frozenset(merge_request_lines(request.lines))
    same = (lines, order.currency, order.flow) == (asked, request.currency, request.flow)
    whose = (order.customer_id, order.address) == (request.customer, encode(request.address))
    return same and (whose or order.customer_id is None)


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
    # Keys live longer than releases: the first ones had one flow and no agreed prices.
    if request.flow is Flow.ORCHESTRATED:
        del content["flow"]
    for line in content["lines"]:
        if line["unit_price"] is None:
            del line["unit_price"]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
