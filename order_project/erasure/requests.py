"""Erasure requests: a customer is erased here at once, elsewhere by a saga, and each service leaves a receipt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from rest_framework.exceptions import NotFound

from celery_config.common.grouping import split_chunks
from celery_config.common.services import ORCHESTRATOR
from celery_config.db.functions import Now, fetch_now
from celery_config.saga.course import read_time
from celery_config.saga.dsl import Saga
from celery_config.saga.engine import starting
from celery_config.saga.models import SagaInstance
from celery_config.saga.operations.audit_trail import check_reason
from celery_config.saga.states import ENDED
from order_project.domain import OrderStatus
from order_project.erasure import data
from order_project.errors import OrdersUnderWay
from order_project.models import Customer, Erasure, ErasureReceipt, Order

log = structlog.get_logger(__name__)
# Three commands with this many ids each stay well below the limit of a chain.
IDS_A_SAGA = 500


@transaction.atomic
def request_erasure(*, customer: UUID, by: str, why: str) -> Erasure:
    """Erase a customer here, and start the sagas that erase them elsewhere; a repeat returns the first request.

    An order placed at the same moment comes either first, and this is refused, or too late, and the order is refused.

    Raises:
        NotFound: the customer neither exists nor was erased before.
        OrdersUnderWay, OperatorRefused, SagaPaused: nothing was changed.
    """
    check_reason(why)
    # Placing locks the row, too, against its deletion. A twin of this request waits here and then finds no row.
    found = Customer.objects.select_for_update().filter(pk=customer).first()
    if found is None:
        earlier = Erasure.objects.filter(customer=customer).first()
        if earlier is None:
            raise NotFound
        return earlier
    about = lock_ended(found)
    saga = Saga.registry["forget-customer", 1]
    parts = [tuple(some) for some in split_chunks(about, IDS_A_SAGA)] or [()]
    made = Erasure.objects.create(customer=customer, by=by, why=why, open_sagas=len(parts))
    starting.start_sagas(
        saga, [(made.pk, saga.data(erasure=made.pk, customer=customer, about=part)) for part in parts]
    )
    forgotten, at = data.erase_customer(found, about)
    add_receipt(made, ORCHESTRATOR, forgotten, at)
    log.info("customer forgotten here", customer=str(customer), erasure=str(made.pk), rows=forgotten)
    return made


def lock_ended(customer: Customer) -> list[UUID]:
    """Lock a customer's ended orders; return their ids and those of their sagas.

    Raises:
        OrdersUnderWay: an order or refund has not ended and still needs the personal data.
    """
    orders = list(Order.objects.select_for_update().filter(customer=customer).order_by("pk"))
    sagas = list(SagaInstance.objects.filter(subject__in=[str(order.pk) for order in orders]))
    moving = {str(order.pk) for order in orders if order.status == OrderStatus.PLACED}
    if moving := moving | {saga.subject for saga in sagas if saga.status not in ENDED}:
        raise OrdersUnderWay(sorted(moving))
    return [*(order.pk for order in orders), *(saga.pk for saga in sagas)]


def keep_receipts(completed: Sequence[tuple[Any, Mapping[str, Any]]]) -> None:
    """Keep the other services' receipts. Runs in the transaction that completes the sagas."""
    services = {step.name: step.command.service for step in Saga.registry["forget-customer", 1].steps}
    for ended, replies in sorted(completed, key=lambda each: each[0].erasure):
        erasure = Erasure.objects.select_for_update().get(pk=ended.erasure)
        # Messages that were on their way at the first erasure have arrived by now.
        add_receipt(erasure, ORCHESTRATOR, *data.reapply_erasure(ended.customer, ended.about))
        for step, reply in replies.items():
            counts = {each["table"]: each["rows"] for each in reply["rows"]}
            # A time that is none would break the list of all receipts.
            add_receipt(erasure, services[step], counts, read_time(reply["at"]) or fetch_now())
        erasure.open_sagas -= 1
        erasure.done_at = None if erasure.open_sagas else Now()
        erasure.save(update_fields=["open_sagas", "done_at"])


def add_receipt(erasure: Erasure, service: str, forgotten: Mapping[str, int], at: datetime) -> None:
    """Add to the receipt of a service; the erasure is locked, or new."""
    receipt = ErasureReceipt.objects.filter(erasure=erasure, service=service).first()
    receipt = receipt or ErasureReceipt(erasure=erasure, service=service)
    rows = Counter(receipt.rows)
    rows.update(forgotten)
    receipt.rows, receipt.at = dict(rows), at
    receipt.save()
