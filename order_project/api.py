"""The order service's HTTP API."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.urls import path, reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from celery_config.contracts.inventory import Line
from celery_config.contracts.shipment import Address
from celery_config.iso import validate_country, validate_currency
from celery_config.saga import api as saga_api
from celery_config.saga.models import SagaInstance, SagaStep
from order_project import domain, selectors, services
from order_project.errors import NotYourself, UnknownCustomer
from order_project.models import Customer, Order, OrderLine, Refund

# A little more than an order may have, so that the domain says what is wrong with it.
PARSED_LINES = 10 * domain.MAX_LINES
LONGEST_KEY = 200


class LineInput(serializers.Serializer[Any]):
    sku = serializers.CharField(max_length=64)
    quantity = serializers.IntegerField(min_value=1, max_value=domain.MAX_QUANTITY)


class AddressInput(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200)
    line1 = serializers.CharField(max_length=200)
    city = serializers.CharField(max_length=100)
    postal_code = serializers.CharField(max_length=20)
    country = serializers.CharField(validators=[validate_country], help_text="ISO 3166-1 alpha-2")


class OrderInput(serializers.Serializer[Any]):
    lines = serializers.ListField(child=LineInput(), allow_empty=False, max_length=PARSED_LINES)
    currency = serializers.CharField(validators=[validate_currency], help_text="ISO 4217")
    payment_token = serializers.CharField(max_length=200)
    address = AddressInput()
    customer = serializers.UUIDField(
        required=False, help_text="default: yourself; only staff may name another"
    )


class StepOutput(serializers.ModelSerializer[SagaStep]):
    state = serializers.CharField(source="logged")

    class Meta:
        model = SagaStep
        fields = ("name", "kind", "state", "reply", "refusal", "updated_at")


class SagaOutput(serializers.ModelSerializer[SagaInstance]):
    steps = StepOutput(many=True)

    class Meta:
        model = SagaInstance
        fields = (
            "id",
            "name",
            "version",
            "status",
            "cause",
            "drives",
            "deadline_at",
            "started_at",
            "ended_at",
            "steps",
        )


class LineOutput(serializers.ModelSerializer[OrderLine]):
    class Meta:
        model = OrderLine
        fields = ("sku", "name", "quantity", "unit_price")


class OrderOutput(serializers.ModelSerializer[Order]):
    """`status` is the order's; while its saga stops it is `stopping`, and `parked` while a human is needed."""

    status = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()

    class Meta:
        model = Order
        fields = (
            "id", "url", "status", "currency", "total", "customer", "reference", "tracking_number",
            "cancel_code", "cancel_reason", "created_at", "ended_at",
        )  # fmt: skip

    def get_status(self, order: Order) -> str:
        saga = self.context["sagas"].get(order.saga)
        return saga.status if saga and saga.status in ("stopping", "parked") else order.status

    def get_url(self, order: Order) -> str:
        return reverse("order", args=[order.pk])


class OrderDetail(OrderOutput):
    lines = LineOutput(many=True)
    saga = serializers.SerializerMethodField()

    class Meta(OrderOutput.Meta):
        fields = (*OrderOutput.Meta.fields, "lines", "saga")  # type: ignore[assignment]

    @extend_schema(responses=SagaOutput)
    def get_saga(self, order: Order) -> Any:
        return SagaOutput(self.context["sagas"][order.saga]).data


class OrderList(generics.GenericAPIView[Order]):
    permission_classes = (IsAuthenticated,)
    serializer_class = OrderOutput
    filterset_fields = ("status", "customer", "reference")

    def get_queryset(self) -> Any:
        return selectors.orders_for(self.request.user)

    @extend_schema(operation_id="orders_list", responses=OrderOutput(many=True))
    def get(self, request: Request) -> Response:
        """Your orders, newest first; staff see all."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        sagas = selectors.sagas_of(order.saga for order in page)
        return self.get_paginated_response(OrderOutput(page, many=True, context={"sagas": sagas}).data)

    @extend_schema(
        request=OrderInput,
        responses={202: dict},
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
    )
    def post(self, request: Request) -> Response:
        """Place an order. The answer says where to look; a repeat with the same Idempotency-Key places nothing."""
        given = OrderInput(data=request.data)
        given.is_valid(raise_exception=True)
        key = idempotency_key(request)
        # A user becomes a customer with the first order that is accepted.
        with transaction.atomic():
            placed = services.place_order(
                client=str(request.user.pk or request.user.get_username()),
                request=order_request(given.validated_data, request.user),
                idempotency_key=key,
            )
        url = reverse("order", args=[placed.order])
        return Response(
            {"order": placed.order, "status": "placed", "url": url, "repeated": placed.repeated},
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": url},
        )


def idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > LONGEST_KEY:
        raise serializers.ValidationError({"Idempotency-Key": f"at most {LONGEST_KEY} characters"})
    return key or None


def order_request(given: dict[str, Any], user: Any) -> services.OrderRequest:
    """The client's wish, for the customer it may order for.

    Raises:
        UnknownCustomer: there is none.
        NotYourself: it is another one, and the user is no staff.
    """
    if user.is_staff and "customer" in given:
        customer = Customer.objects.filter(id=given["customer"]).first()
    else:
        customer = services.customer_of(user) if user.pk else None
    if customer is None:
        raise UnknownCustomer
    if given.get("customer", customer.pk) != customer.pk:
        raise NotYourself
    return services.OrderRequest(
        customer=customer.pk,
        lines=tuple(Line(**line) for line in given["lines"]),
        currency=given["currency"],
        payment_token=given["payment_token"],
        address=Address(**given["address"]),
    )


class OrderAPI(generics.GenericAPIView[Order]):
    permission_classes = (IsAuthenticated,)
    serializer_class = OrderDetail

    def get_queryset(self) -> Any:
        return selectors.orders_for(self.request.user).prefetch_related("lines")


class OrderShow(OrderAPI):
    def get(self, request: Request, pk: UUID) -> Response:
        """One order with the state of every step of its saga."""
        order = self.get_object()
        return Response(OrderDetail(order, context={"sagas": selectors.sagas_of([order.saga])}).data)


class OrderCancel(OrderAPI):
    @extend_schema(request=None, responses={202: dict})
    def post(self, request: Request, pk: UUID) -> Response:
        """Ask to cancel. 202: it is stopping; 409 with the reason: it is too late."""
        order = self.get_object()
        state = services.ask_to_cancel(order=order, reason=f"cancelled by {request.user.get_username()}")
        return Response(
            {"order": order.pk, "status": state, "url": reverse("order", args=[order.pk])},
            status=status.HTTP_202_ACCEPTED,
        )


class RefundInput(serializers.Serializer[Any]):
    amount = serializers.IntegerField(min_value=1, help_text="minor units of the order's currency")
    reason = serializers.CharField(max_length=200)


class RefundOutput(serializers.ModelSerializer[Refund]):
    class Meta:
        model = Refund
        fields = ("id", "order", "amount", "reason", "status", "detail", "created_at")


class RefundList(generics.ListAPIView[Refund]):
    permission_classes = (IsAdminUser,)
    serializer_class = RefundOutput
    queryset = Refund.objects.all()
    filterset_fields = ("status",)

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(order=self.kwargs.get("pk"))

    @extend_schema(request=RefundInput, responses={202: RefundOutput})
    def post(self, request: Request, pk: UUID) -> Response:
        """Give money back for a confirmed order."""
        given = RefundInput(data=request.data)
        given.is_valid(raise_exception=True)
        order = generics.get_object_or_404(Order, pk=pk)
        refund = services.ask_for_refund(order=order.pk, **given.validated_data)
        return Response(RefundOutput(refund).data, status=status.HTTP_202_ACCEPTED)


urlpatterns = [
    *saga_api.urlpatterns,
    path("orders/", OrderList.as_view(), name="orders"),
    path("orders/<uuid:pk>/", OrderShow.as_view(), name="order"),
    path("orders/<uuid:pk>/cancel/", OrderCancel.as_view(), name="order-cancel"),
    path("orders/<uuid:pk>/refunds/", RefundList.as_view(), name="order-refunds"),
]
