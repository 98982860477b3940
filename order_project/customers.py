"""The HTTP API of customers, for staff and services, and of the order service's copy of the catalogue."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError, models, transaction
from django.db.models import ProtectedError
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.fields import get_error_detail
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from celery_config.copies.api import CopiedDetail
from celery_config.messaging.api import RefusedWhileRecovering
from celery_config.messaging.idempotency import Answer, MadeByKey, answer_once, find_row
from celery_config.web.fields import StrictCharField
from celery_config.web.filters import StrictFilterBackend
from celery_config.web.inputs import KnownFieldsOnly
from order_project.addresses import AddressInput
from order_project.errors import CustomerHasOrders
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

    def validate_reference(self, reference: str | None) -> str | None:
        """Many customers have no number in another system, and the column is unique."""
        return reference or None

    def create(self, given: Any) -> Customer:
        return save_customer(Customer(**given))

    @transaction.atomic
    def update(self, customer: Customer, given: Any) -> Customer:
        # Saving a customer that was erased in between would insert it again, which its tombstone refuses.
        if not Customer.objects.select_for_update().filter(pk=customer.pk).exists():
            raise NotFound
        for name, value in given.items():
            setattr(customer, name, value)
        return save_customer(customer)


@transaction.atomic
def save_customer(customer: Customer) -> Customer:
    """Commit a customer and read its version, which the table's trigger counts.

    Raises:
        ValidationError: another request has taken its reference since the serializer looked.
    """
    try:
        with transaction.atomic():
            customer.save()
    except IntegrityError:
        try:
            customer.validate_unique()
        except DjangoValidationError as error:
            raise serializers.ValidationError(get_error_detail(error)) from error
        raise
    customer.refresh_from_db()
    return customer


CREATED = Answer[Customer](
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

    @extend_schema(responses={201: CustomerSerializer})
    @answer_once(CREATED)
    def post(self, request: Request) -> Customer:
        """Make a customer."""
        form = CustomerSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        return form.save()


class CustomerShow(RefusedWhileRecovering, generics.RetrieveUpdateDestroyAPIView[Customer]):
    """One customer. Its `version` is what `min_version` means where others keep copies."""

    serializer_class = CustomerSerializer
    queryset = Customer.objects.all()

    def perform_destroy(self, customer: Customer) -> None:
        try:
            customer.delete()
        except ProtectedError as error:
            raise CustomerHasOrders from error


class ProductOutput(serializers.ModelSerializer[CatalogueProduct]):
    class Meta:
        model = CatalogueProduct
        fields = ("sku", "name", "price", "currency", "weight_grams", "active", "version", "changed_at")


class ProductShow(CopiedDetail):
    """A product from the order service's own copy."""

    permission_classes = (IsAuthenticated,)
    lookup_url_kwarg = "sku"
    serializer_class = ProductOutput
    queryset = CatalogueProduct.everything.all()
