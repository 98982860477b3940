"""The order service's data map: where it keeps personal data, and what stays after an erasure.

Orders stay with their lines, amounts, times and country, since books have to be kept. Nothing says whose they were, or
that two of them had one customer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Q

from celery_config.contracts.order import CustomerChanged, OrderCancelled, OrderConfirmed
from celery_config.copies.registry import publications
from celery_config.copies.retirement import retire_rows
from celery_config.erasure.data_map import DataMap, ErasedResidue
from celery_config.erasure.locations import DataLocation
from celery_config.erasure.tombstones import find_mentions
from celery_config.messaging.models import OutboxMessage
from celery_config.saga.models import DeadLetter, SagaDecision, SagaInstance, SagaStep, StepTry
from celery_config.web.models import ChangeRecord
from order_project.models import Choreography, Customer, Order, OrderNote, Refund, SeenEvent

LETTERS = 500
OF_ORDERS = [kind.wire_name() for kind in (OrderConfirmed, OrderCancelled)]
BLANK_LETTER: dict[str, Any] = {"body": "", "headers": {}, "fault": ""}


class OrderDataMap(DataMap):
    """A data map with dead letters, which do not all belong to a saga."""

    def find_residue(self) -> Iterator[str]:
        yield from super().find_residue()
        for letter in find_letters():
            yield f"dead letter {letter} holds personal data of an erased customer"

    def erase_residue(self) -> ErasedResidue:
        done = super().erase_residue()
        if letters := find_letters():
            blanked = DeadLetter.objects.filter(pk__in=letters).update(**BLANK_LETTER)
            done.rows[DeadLetter._meta.label] += blanked
        return done


def find_letters() -> list[int]:
    """Return the dead letters that name an erased person."""
    letters = DeadLetter.objects.exclude(body="").order_by("pk").values_list("pk", "body")
    return [letter for letter, body in letters.iterator(LETTERS) if any(find_mentions([body]))]


DATA_MAP = OrderDataMap(
    locations=(
        DataLocation(Order, by=("id",), blank={"customer": None, "cancel_reason": ""}, redact=("address",)),
        DataLocation(Refund, by=("order",), blank={"reason": "", "detail": ""}),
        DataLocation(OrderNote, by=("order",), delete=True),
        DataLocation(Choreography, by=("order",), blank={"placed": {}}, redact=("cause", "failure")),
        DataLocation(SeenEvent, by=("choreography",), redact=("content",)),
        DataLocation(SagaInstance, by=("id",), redact=("data", "cause")),
        DataLocation(SagaStep, by=("saga",), redact=("reply", "refusal", "failure")),
        DataLocation(SagaDecision, by=("saga",), blank={"detail": ""}),
        DataLocation(StepTry, by=("flow",), blank={"reason": ""}),
        DataLocation(DeadLetter, by=("saga",), blank=BLANK_LETTER),
        DataLocation(
            OutboxMessage, by=("payload__subject",), where=Q(name__in=OF_ORDERS), redact=("payload",)
        ),
        # The deletion event follows, and its key is the customer's id.
        DataLocation(
            OutboxMessage, by=("payload__subject",), where=Q(name=CustomerChanged.wire_name()), delete=True
        ),
        DataLocation(LogEntry, by=("object_id",), blank={"object_repr": "", "change_message": ""}),
        DataLocation(ChangeRecord, by=("key",), where=Q(kind=Customer._meta.model_name), delete=True),
        DataLocation(Customer, by=("id",), delete=True),
    )
)


def erase_customer(customer: Customer, about: Collection[UUID]) -> tuple[dict[str, int], datetime]:
    """Erase a customer's data in the caller's transaction.

    Args:
        about: the ids of their orders, and of the sagas that carried those.

    Returns:
        the number of erased rows by table, and the time.
    """
    user = customer.user
    counts, at = reapply_erasure(customer.pk, about)
    retire_rows(publications["customer"], [customer.pk])
    if user and not user.is_staff:  # staff keep their accounts
        erase_history(user)
        user.delete()
        counts[user._meta.label] = 1
    return counts, at


def reapply_erasure(customer: UUID, about: Collection[UUID]) -> tuple[dict[str, int], datetime]:
    """Erase what arrived since the first erasure."""
    receipt = DATA_MAP.erase(customer, about)
    # These letters belong to no saga.
    letters = DeadLetter.objects.filter(body__contains=str(customer)).update(**BLANK_LETTER)
    receipt.rows[DeadLetter._meta.label] += letters
    return receipt.rows, receipt.at


def erase_history(user: models.Model) -> None:
    """Erase the names that the admin's history keeps of an account."""
    kind = ContentType.objects.get_for_model(user)
    entries = LogEntry.objects.filter(content_type=kind, object_id=str(user.pk))
    entries.update(object_repr="", change_message="")
