"""What the order service remembers of a person, and what is left of it once they are forgotten.

Orders stay with their lines, amounts, times and the country they went to: books have to be kept. Whose they were is
gone, also from one order to the next.
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
from celery_config.erasure.data_map import DataMap
from celery_config.erasure.locations import DataLocation
from celery_config.erasure.tombstones import find_mentions
from celery_config.messaging.models import OutboxMessage
from celery_config.saga.models import DeadLetter, SagaDecision, SagaInstance, SagaStep
from order_project.models import Choreography, Customer, IdempotencyKey, Order, Refund, SeenEvent

LETTERS = 500
OF_ORDERS = [kind.wire_name() for kind in (OrderConfirmed, OrderCancelled)]
NO_LETTER: dict[str, Any] = {"body": "", "headers": {}, "fault": ""}


class WithLetters(DataMap):
    """The dead letters are here, and not all of them belong to a saga."""

    def find_residue(self) -> Iterator[str]:
        yield from super().find_residue()
        for letter in letters_left():
            yield f"dead letter {letter} holds personal data of an erased customer"

    def erase_residue(self) -> dict[str, int]:
        counts = super().erase_residue()
        if letters := letters_left():
            name = DeadLetter._meta.label
            blanked = DeadLetter.objects.filter(pk__in=letters).update(**NO_LETTER)
            counts[name] = counts.get(name, 0) + blanked
        return counts


def letters_left() -> list[int]:
    """The dead letters that name anybody who was forgotten."""
    letters = DeadLetter.objects.exclude(body="").order_by("pk").values_list("pk", "body")
    return [letter for letter, body in letters.iterator(LETTERS) if any(find_mentions([body]))]


DATA_MAP = WithLetters(
    locations=(
        DataLocation(Order, by=("id",), blank={"customer": None, "cancel_reason": ""}, redact=("address",)),
        DataLocation(Refund, by=("order",), blank={"reason": "", "detail": ""}),
        DataLocation(Choreography, by=("order",), blank={"placed": {}}, redact=("cause", "failure")),
        DataLocation(SeenEvent, by=("choreography",), redact=("content",)),
        DataLocation(SagaInstance, by=("id",), redact=("data", "cause")),
        DataLocation(SagaStep, by=("saga",), redact=("reply", "refusal", "failure")),
        DataLocation(SagaDecision, by=("saga",), blank={"detail": ""}),
        DataLocation(DeadLetter, by=("saga",), blank=NO_LETTER),
        DataLocation(
            OutboxMessage, by=("payload__subject",), where=Q(name__in=OF_ORDERS), redact=("payload",)
        ),
        # The deletion says it all, and has the customer's id for its key.
        DataLocation(
            OutboxMessage, by=("payload__subject",), where=Q(name=CustomerChanged.wire_name()), delete=True
        ),
        DataLocation(LogEntry, by=("object_id",), blank={"object_repr": "", "change_message": ""}),
        DataLocation(IdempotencyKey, by=("response__order",), delete=True),
        DataLocation(Customer, by=("id",), delete=True),
    )
)


def forget(customer: Customer, about: Collection[UUID]) -> tuple[dict[str, int], datetime]:
    """Blank what is known of a customer, for good; a part of a transaction.

    Args:
        about: the ids of their orders, and of the sagas that carried those.

    Returns:
        how many rows of which table told of them, and when that was.
    """
    user = customer.user
    counts, at = reapply_erasure(customer.pk, about)
    retire_rows(publications["customer"], [customer.pk])
    if user and not user.is_staff:  # whoever works here keeps the account
        forget_history(user)
        user.delete()
        counts[user._meta.label] = 1
    return counts, at


def reapply_erasure(customer: UUID, about: Collection[UUID]) -> tuple[dict[str, int], datetime]:
    """The same for what came since."""
    receipt = DATA_MAP.erase(customer, about)
    # Those that belong to no saga.
    letters = DeadLetter.objects.filter(body__contains=str(customer)).update(**NO_LETTER)
    receipt.rows[DeadLetter._meta.label] += letters
    return receipt.rows, receipt.at


def forget_history(user: models.Model) -> None:
    """The admin writes down what an account is called, and would keep that."""
    kind = ContentType.objects.get_for_model(user)
    entries = LogEntry.objects.filter(content_type=kind, object_id=str(user.pk))
    entries.update(object_repr="", change_message="")
