"""The HTTP API of customers, for staff and services, and of the order service's copy of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, ClassVar

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError, models, transaction
from django.db.models import ProtectedError
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from celery_config.copies.api import CopiedDetail
from celery_config.messaging.api import RefusedWhileRecovering
from celery_config.messaging.idempotency import Answer, MadeByKey, answer_once, find_row
from celery_config.web.change_log import CREATED, DELETED, Kind, record_changes
from celery_config.web.fields import StrictCharField
from celery_config.web.filters import StrictFilterBackend
from celery_config.web.inputs import KnownFieldsOnly
from celery_config.web.permissions import ANY_USER, Needs
from celery_config.web.refusals import Refusals
from order_project.addresses import AddressInput
from order_project.errors import CustomerHasOrders, ReferenceTaken
from order_project.models import CatalogueProduct, Customer


class CustomerSerializer(KnownFieldsOnly, serializers.ModelSerializer[Customer]):
    serializer_field_mapping = serializers.ModelSerializer.serializer_field_mapping | {
        models.CharField: StrictCharField
    }
    billing_address = AddressInput(required=False, allow_null=True)
    delivery_address = AddressInput(required=False, allow_null=True)

    class Meta:
        model = Customer
        fields = (
            "id", "name", "email", "currency", "billing_address", "delivery_address", "reference", "version",
            "created_at", "updated_at",
        )  # fmt: skip
        read_only_fields = ("id", "version", "created_at", "updated_at")
        # Whether another customer has it is no matter of the input: `save_customer` refuses it.
        extra_kwargs: ClassVar[dict[str, Any]] = {"reference": {"validators": ()}}

    def validate_reference(self, reference: str | None) -> str | None:
        """Many customers have no number in another system, and the column is unique."""
        return reference or None

    def create(self, given: Any) -> Customer:
        return save_customer(Customer(**given), changed=[CREATED], by=self.caller)

    @property
    def caller(self) -> str:
        return str(self.context["request"].user.get_username())

    @transaction.atomic
    def update(self, customer: Customer, given: Any) -> Customer:
        # Saving writes every column: what was read before the lock may be set back, and a customer that was erased in
        # between would be inserted again, which its tombstone refuses.
        locked = Customer.objects.select_for_update().filter(pk=customer.pk).first()
        if locked is None:
            raise NotFound
        customer = locked
        changed = [name for name, value in given.items() if getattr(customer, name) != value]
        for name, value in given.items():
            setattr(customer, name, value)
        return save_customer(customer, changed=changed, by=self.caller)


@transaction.atomic
def save_customer(customer: Customer, *, changed: Sequence[str], by: str) -> Customer:
    """Commit a customer and read its version, which the table's trigger counts.

    Args:
        changed: what the change log keeps of it; nothing is recorded if nothing has changed.
        by: who does it.

    Raises:
        ReferenceTaken: another customer has its reference.
    """
    try:
        with transaction.atomic():
            customer.save()
    except IntegrityError:
        try:
            customer.validate_unique()
        except DjangoValidationError as error:
            raise ReferenceTaken from error
        raise
    if changed:
        record_changes(Kind.CUSTOMER, {str(customer.pk): sorted(changed)}, by=by)
    customer.refresh_from_db()
    return customer


MADE = Answer[Customer](
    lambda customer, _: CustomerSerializer(customer).data,
    find_row(Customer),
    status.HTTP_201_CREATED,
    subject=attrgetter("pk"),
)


class CustomerList(RefusedWhileRecovering, generics.ListAPIView[Customer]):
    """Customers, newest first."""

    serializer_class = CustomerSerializer
    queryset = Customer.objects.all()
    filter_backends = (StrictFilterBackend, MadeByKey)
    filterset_fields = ("reference", "email")

    refusals: Refusals = {"POST": [ReferenceTaken]}

    @extend_schema(responses={201: CustomerSerializer})
    @answer_once(MADE)
    def post(self, request: Request) -> Customer:
        """Make a customer."""
        form = self.get_serializer(data=request.data)
        form.is_valid(raise_exception=True)
        return form.save()


class CustomerShow(RefusedWhileRecovering, generics.RetrieveUpdateDestroyAPIView[Customer]):
    """One customer. Its `version` is what `min_version` means where others keep copies."""

    refusals: Refusals = {"PUT": [ReferenceTaken], "PATCH": [ReferenceTaken], "DELETE": [CustomerHasOrders]}

    serializer_class = CustomerSerializer
    queryset = Customer.objects.all()

    def perform_destroy(self, customer: Customer) -> None:
        by = self.request.user.get_username()
        try:
            with transaction.atomic():
                record_changes(Kind.CUSTOMER, {str(customer.pk): [DELETED]}, by=by)
                customer.delete()
        except ProtectedError as error:
            raise CustomerHasOrders from error


class ProductOutput(serializers.ModelSerializer[CatalogueProduct]):
    class Meta:
        model = CatalogueProduct
        fields = ("sku", "name", "price", "currency", "weight_grams", "active", "version", "changed_at")


class ProductShow(CopiedDetail):
    """A product from the order service's own copy."""

    needs: Needs = {"GET": (ANY_USER,)}
    lookup_url_kwarg = "sku"
    serializer_class = ProductOutput
    queryset = CatalogueProduct.everything.all()
