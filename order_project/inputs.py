"""The input of placing: what clients send is checked, and a client orders only for customers it may order for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from uuid import UUID

from django.db import transaction
from rest_framework import serializers
from rest_framework.exceptions import APIException, ValidationError

from celery_config.common.iso import validate_currency
from celery_config.contracts.inventory import MAX_PRICE
from celery_config.contracts.shipment import Address
from celery_config.web.fields import IdField, StrictCharField, StrictIntegerField, WordField
from celery_config.web.idempotency_keys import FIELD, KeyField
from celery_config.web.inputs import ClientInput
from celery_config.web.permissions import may
from order_project import domain, selectors, services
from order_project.addresses import AddressInput
from order_project.errors import NotYourself, PriceNotYours, UnknownCustomer
from order_project.models import Customer
from order_project.payment_tokens import LONGEST_TOKEN, validate_payment_token
from order_project.requests import OrderRequest, OrderSubmission

MOST_AT_ONCE = 100
# A little more than an order may have, so that the domain says what is wrong with it.
PARSED_LINES = 10 * domain.MAX_LINES
KEY_OF_BATCH = "A batch has no key of its own: give each order its `idempotency_key`."


class LineInput(ClientInput):
    sku = StrictCharField(max_length=64)
    quantity = StrictIntegerField(min_value=1, max_value=domain.MAX_QUANTITY)
    unit_price = StrictIntegerField(
        min_value=0,
        max_value=MAX_PRICE,
        required=False,
        help_text="agreed price in minor units, with the permission `order.agree_price`; default: the catalogue's",
    )


class OrderInput(ClientInput):
    lines = serializers.ListField(child=LineInput(), allow_empty=False, max_length=PARSED_LINES)
    currency = StrictCharField(validators=[validate_currency], help_text="ISO 4217")
    payment_token = StrictCharField(max_length=LONGEST_TOKEN, validators=[validate_payment_token])
    address = AddressInput()
    flow = WordField(
        [flow.value for flow in domain.Flow],
        default=domain.Flow.ORCHESTRATED.value,
        help_text="whether a saga asks the services, or each acts on what the others announce",
    )
    customer = IdField(
        required=False, help_text="default: yourself; another with the permission `order.add_order`"
    )


class BatchOrderInput(OrderInput):
    idempotency_key = KeyField(required=False)


class BatchInput(ClientInput):
    """The orders are read one by one, so that one that is wrong spoils no other."""

    hints = {FIELD: KEY_OF_BATCH}

    orders = serializers.ListField(
        child=serializers.JSONField(allow_null=True),
        allow_empty=False,
        max_length=MOST_AT_ONCE,
        help_text="each as for POST /api/orders/, and perhaps an `idempotency_key`",
    )


class CustomerAccess:
    """The customers that a user may order for."""

    def __init__(self, user: Any) -> None:
        self.user = user
        self.own = selectors.find_customer(user) if user.pk else None
        self.newcomer = bool(user.pk) and self.own is None
        self.known: set[UUID] = set()
        self.for_others = False

    def transaction(self) -> AbstractContextManager[Any]:
        """Return the transaction to place in: a user becomes a customer with the first accepted order."""
        return transaction.atomic() if self.newcomer else nullcontext()

    def look_up(self, given: Iterable[dict[str, Any]]) -> None:
        """Read all customers that these orders name, if the user may order for others."""
        named = {order["customer"] for order in given if "customer" in order}
        self.for_others = bool(named) and may(self.user, "order.add_order")
        if self.for_others:
            self.known |= set(Customer.objects.filter(id__in=named).values_list("id", flat=True))

    def allowed(self, wanted: UUID | None) -> UUID:
        """Return the customer to order for: `wanted`, or the user's own.

        Raises:
            UnknownCustomer: no such customer exists.
            NotYourself: the user names another customer, and may not order for others.
        """
        if wanted in self.known:
            return wanted
        if (wanted and self.for_others) or self.user.pk is None:
            raise UnknownCustomer
        if self.own is None:
            self.own = services.ensure_customer(self.user).pk
        if wanted not in (None, self.own):
            raise NotYourself
        return self.own


def validate_orders(given: Sequence[Any], customers: CustomerAccess) -> list[OrderSubmission | APIException]:
    """Return a submission for each order, or the error that refuses it."""
    forms = [BatchOrderInput(data=order) for order in given]
    customers.look_up([form.validated_data for form in forms if form.is_valid()])
    return [validate_order(form, customers) for form in forms]


def validate_order(form: BatchOrderInput, customers: CustomerAccess) -> OrderSubmission | APIException:
    if form.errors:
        return ValidationError(form.errors)
    try:
        return OrderSubmission(
            read_request(form.validated_data, customers), form.validated_data.get("idempotency_key", "")
        )
    except APIException as error:
        return error


def read_request(given: dict[str, Any], customers: CustomerAccess) -> OrderRequest:
    """Return the checked input as a request.

    Raises:
        UnknownCustomer, NotYourself: the client may not order for this customer.
        PriceNotYours: a client who may not agree on prices gives one.
    """
    agreed = any("unit_price" in line for line in given["lines"])
    if agreed and not may(customers.user, "order.agree_price"):
        raise PriceNotYours
    return build_request(given, customers.allowed(given.get("customer")))


def build_request(given: dict[str, Any], customer: UUID) -> OrderRequest:
    """Return the checked input as a request of this customer."""
    return OrderRequest(
        customer=customer,
        lines=tuple(domain.RequestLine(**line) for line in given["lines"]),
        currency=given["currency"],
        payment_token=given["payment_token"],
        address=Address(**given["address"]),
        flow=domain.Flow(given["flow"]),
    )
