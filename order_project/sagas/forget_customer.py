"""The flow of an erasure: every service forgets a person, and says what it forgot."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from celery_config.contracts.inventory import ForgetBuyer
from celery_config.contracts.payment import ForgetPayer
from celery_config.contracts.shipment import ForgetRecipient
from celery_config.saga.dsl import Saga, minutes, retriable
from order_project.erasure.requests import keep_receipts


@dataclass(frozen=True, kw_only=True)
class ErasureData:
    """`about`: the ids of the customer's orders and of the sagas that carried those; some, if they are many."""

    erasure: UUID
    customer: UUID
    about: tuple[UUID, ...]


class ForgetCustomer(Saga):
    """There is no way back: the order service forgets the customer in the transaction that starts it."""

    name, version, deadline, data = "forget-customer", 1, minutes(15), ErasureData
    noun = "erasure"
    steps = [
        retriable("forget-payer", ForgetPayer),
        retriable("forget-buyer", ForgetBuyer),
        retriable("forget-recipient", ForgetRecipient),
    ]
    on_completed = keep_receipts
