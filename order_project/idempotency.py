"""Idempotency keys of orders: one request makes one order, however often it is sent (rule 1, the start).

They share the table and the rules of all requests (`celery_config.messaging.idempotency`). Their claim is a part of the
one statement that places, and a batch claims many at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from operator import attrgetter
from uuid import UUID

from rest_framework import status

from celery_config.contracts.base import encode
from celery_config.db import bulk
from celery_config.db.bulk import Statement
from celery_config.messaging.idempotency import check_repeat, digest_key
from celery_config.messaging.models import IdempotencyKey
from celery_config.web.idempotency_keys import KeyGone, KeyReused
from order_project.domain import Flow, PriceSource, RequestLine, merge_request_lines
from order_project.models import Order
from order_project.requests import OrderRequest, OrderSubmission, Placed, PlacingResult

CLAIMED = ("digest", "request_hash", "status", "made", "subject")


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
                repeats[each.id] = answer_repeat(make_row("", known), each.request)
    return repeats


def claim_statements(client: str, submissions: Sequence[OrderSubmission]) -> list[Statement]:
    """Return what inserts the keys of these submissions; it fails when a key is taken.

    The keys are sorted, so that two batches never wait for each other in a circle.
    """
    rows = [make_row(client, each) for each in submissions if each.key]
    return bulk.insert_statement(IdempotencyKey, sorted(rows, key=attrgetter("digest")), CLAIMED)


def read_answers(client: str, submissions: Sequence[OrderSubmission]) -> dict[UUID, PlacingResult]:
    """Return the answers to submissions whose key or reference stands for a placed order already, by id.

    A key is forgotten after some time; an order keeps its reference.
    """
    digests = {each.id: digest_key(client, each.key) for each in submissions if each.key}
    earlier = IdempotencyKey.objects.in_bulk(list(digests.values())) if digests else {}
    answers = {
        each.id: answer_repeat(row, each.request)
        for each in submissions
        if (row := earlier.get(digests.get(each.id, "")))
    }
    # An erasure blanks the key of an order, which still has its reference.
    open_ones = [each for each in submissions if isinstance(answers.get(each.id, KeyGone()), KeyGone)]
    return answers | read_references(open_ones)


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
        digest=digest_key(client, submission.key),
        request_hash=hash_request(submission.request),
        status=status.HTTP_202_ACCEPTED,
        made=str(submission.id),
        subject=submission.id,
    )


def answer_repeat(earlier: IdempotencyKey, request: OrderRequest) -> PlacingResult:
    """Answer a request whose key, or reference, an earlier one has."""
    try:
        check_repeat(earlier, hash_request(request))
    except (KeyReused, KeyGone) as refusal:
        return refusal
    return Placed(UUID(earlier.made), repeated=True)


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
