"""Forgetting a customer: asked once, seen to by a saga, proved by a receipt of each service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from rest_framework.exceptions import NotFound

from celery_config.common.grouping import split_chunks
from celery_config.common.services import ORCHESTRATOR
from celery_config.db import bulk
from celery_config.db.functions import Now
from celery_config.errors import ChainTooLarge
from celery_config.saga.dsl import Saga
from celery_config.saga.engine import starting
from celery_config.saga.models import SagaInstance
from celery_config.saga.operations.audit_trail import check_reason
from celery_config.saga.states import ENDED
from order_project.domain import OrderStatus
from order_project.erasure import data as what_is_known
from order_project.errors import OrdersUnderWay
from order_project.models import Customer, Erasure, ErasureReceipt, Order

log = structlog.get_logger(__name__)
# Three commands with so many ids each are well below what a chain may have.
IDS_A_SAGA = 500


@transaction.atomic
def ask(*, customer: UUID, by: str, why: str) -> Erasure:
    """Forget a customer here and now, and start what makes the other services forget them; a repeat finds it asked.

    Whoever places an order of theirs at the same moment comes first, and then this is refused, or too late.

    Raises:
        NotFound: there is no such customer, and never was one who was forgotten.
        OrdersUnderWay, OperatorRefused, SagaPaused: nothing was changed.
    """
    check_reason(why)
    # Orders lock it, too, if only against its deletion. A twin waits here, and then finds nobody.
    found = Customer.objects.select_for_update().filter(pk=customer).first()
    if found is None:
        earlier = Erasure.objects.filter(customer=customer).first()
        if earlier is None:
            raise NotFound
        return earlier
    about = ended(found)
    saga = Saga.registry["forget-customer", 1]
    parts = [tuple(some) for some in split_chunks(about, IDS_A_SAGA)] or [()]
    made = Erasure.objects.create(customer=customer, by=by, why=why, open_sagas=len(parts))
    started = starting.start_all(
        saga, [(made.pk, saga.data(erasure=made.pk, customer=customer, about=part)) for part in parts]
    )
    if too_large := [outcome for outcome in started.outcomes if isinstance(outcome, ChainTooLarge)]:
        raise too_large[0]
    bulk.execute(*started.changes)
    forgotten, at = what_is_known.forget(found, about)
    keep(made, ORCHESTRATOR, forgotten, at)
    log.info("customer forgotten here", customer=str(customer), erasure=str(made.pk), rows=forgotten)
    return made


def ended(customer: Customer) -> list[UUID]:
    """The ids of a customer's orders, and of the sagas that carried those; locked, so that none begins to move.

    Raises:
        OrdersUnderWay: somebody still needs to know who they are.
    """
    orders = list(Order.objects.select_for_update().filter(customer=customer).order_by("pk"))
    sagas = list(SagaInstance.objects.filter(subject__in=[str(order.pk) for order in orders]))
    moving = {str(order.pk) for order in orders if order.status == OrderStatus.PLACED}
    if moving := moving | {saga.subject for saga in sagas if saga.status not in ENDED}:
        raise OrdersUnderWay(sorted(moving))
    return [*(order.pk for order in orders), *(saga.pk for saga in sagas)]


def keep_receipts(completed: Sequence[tuple[Any, Mapping[str, Any]]]) -> None:
    """The other services have forgotten, too. Called in the transaction that completes the sagas."""
    services = {step.name: step.command.service for step in Saga.registry["forget-customer", 1].steps}
    for data, replies in sorted(completed, key=lambda each: each[0].erasure):
        erasure = Erasure.objects.select_for_update().get(pk=data.erasure)
        # What was on its way when it was asked has arrived here meanwhile.
        keep(erasure, ORCHESTRATOR, *what_is_known.reapply_erasure(data.customer, data.about))
        for step, reply in replies.items():
            counts = {each["table"]: each["rows"] for each in reply["rows"]}
            keep(erasure, services[step], counts, datetime.fromisoformat(reply["at"]))
        erasure.open_sagas -= 1
        erasure.done_at = None if erasure.open_sagas else Now()
        erasure.save(update_fields=["open_sagas", "done_at"])


def keep(erasure: Erasure, service: str, forgotten: Mapping[str, int], at: datetime) -> None:
    """Add to what a service has told; the erasure is locked, or new."""
    receipt = ErasureReceipt.objects.filter(erasure=erasure, service=service).first()
    receipt = receipt or ErasureReceipt(erasure=erasure, service=service)
    receipt.rows, receipt.at = total([receipt.rows, forgotten]), at
    receipt.save()


def total(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    summed: Counter[str] = Counter()
    for each in counts:
        summed.update(each)
    return dict(summed)
