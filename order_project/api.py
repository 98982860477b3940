"""The order service's HTTP API."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any, Literal, TypedDict, get_args
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.urls import path, reverse
from django_filters import ChoiceFilter
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import generics, serializers, status
from rest_framework.exceptions import APIException, NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from celery_config.contracts.payment import MAX_AMOUNT
from celery_config.errors import OperatorRefused, SagaPaused
from celery_config.messaging.idempotency import (
    Answer,
    MadeByKey,
    answer_once,
    find_row,
    name_client,
)
from celery_config.notifications import api as notifications_api
from celery_config.notifications import rules_api
from celery_config.saga.batches import api as batches_api
from celery_config.saga.dead_letters import api as dead_letters_api
from celery_config.saga.holds import api as holds_api
from celery_config.saga.models import SagaInstance, SagaStep
from celery_config.saga.operations import acts_api, approvals_api, history_api
from celery_config.saga.operations import api as saga_api
from celery_config.web.fields import StrictCharField, StrictIntegerField
from celery_config.web.filters import StrictFilterBackend, StrictFilterSet
from celery_config.web.idempotency_keys import REPLAYED, KeyInFlight, KeyUse, read_key, set_key_use
from celery_config.web.inputs import ClientInput
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import ANY_USER, Needs, may
from celery_config.web.problems import build_problem
from celery_config.web.refusals import Refusal, Refusals
from celery_config.web.schema import PROBLEM_REF, describe_type
from order_project import cancelling, placing, selectors, services, under_way
from order_project.choreography.flow import CHOREOGRAPHIES
from order_project.customers import CustomerList, CustomerShow, ProductShow
from order_project.domain import LineFaultCode, ShownStatus, derive_shown_status
from order_project.erasure.api import CustomerForget, ErasureList, ErasureShow
from order_project.errors import (
    AmountNotPayable,
    NotRefundable,
    NotYourself,
    OrderTooLarge,
    PriceNotYours,
    TooLate,
    TooManyUnderWay,
    UnknownCustomer,
)
from order_project.inputs import (
    KEY_OF_BATCH,
    BatchInput,
    CustomerAccess,
    OrderInput,
    read_request,
    validate_orders,
)
from order_project.models import Choreography, Order, OrderLine, Refund, SeenEvent
from order_project.proof import api as proof_api
from order_project.requests import OrderSubmission, Placed
from order_project.support import api as support_api


class StepOutput(serializers.ModelSerializer[SagaStep]):
    state = serializers.CharField(source="logged")

    class Meta:
        model = SagaStep
        fields = ("name", "kind", "state", "reply", "refusal", "updated_at")


class OrderSagaOutput(serializers.ModelSerializer[SagaInstance]):
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


class SeenOutput(serializers.ModelSerializer[SeenEvent]):
    class Meta:
        model = SeenEvent
        fields = ("kind", "content", "at")


class ChoreographyOutput(serializers.ModelSerializer[Choreography]):
    """Where a choreographed order stands, and the events that put it there."""

    seen = SeenOutput(many=True)

    class Meta:
        model = Choreography
        fields = ("status", "cause", "failure", "drives", "deadline_at", "seen")


class LineOutput(serializers.ModelSerializer[OrderLine]):
    class Meta:
        model = OrderLine
        fields = ("sku", "name", "quantity", "unit_price", "price_source")


class OrderOutput(serializers.ModelSerializer[Order]):
    """`status`: `stopping` while it is undone, `finishing` past the pivot, `parked` while a human is needed."""

    flow = serializers.CharField()
    status = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()

    class Meta:
        model = Order
        fields = (
            "id", "url", "flow", "status", "currency", "total", "customer", "reference", "tracking_number",
            "cancel_code", "cancel_reason", "created_at", "ended_at",
        )  # fmt: skip

    @extend_schema_field({"type": "string", "enum": [*ShownStatus]})
    def get_status(self, order: Order) -> str:
        carried = self.context["sagas"].get(order.saga) or getattr(order, "choreography", None)
        return derive_shown_status(order.status, carried.status if carried else None).value

    def get_url(self, order: Order) -> str:
        return reverse("order", args=[order.pk])


class OrderDetail(OrderOutput):
    lines = LineOutput(many=True)
    address = serializers.SerializerMethodField()
    saga = serializers.SerializerMethodField()
    choreography = serializers.SerializerMethodField()

    class Meta(OrderOutput.Meta):
        fields = (*OrderOutput.Meta.fields, "address", "lines", "saga", "choreography")  # type: ignore[assignment]

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
    def get_address(self, order: Order) -> Any:
        """As it is kept: an order may be older than the present rules, or its customer erased."""
        return order.address

    @extend_schema_field(OrderSagaOutput(allow_null=True))
    def get_saga(self, order: Order) -> Any:
        return OrderSagaOutput(self.context["sagas"][order.saga]).data if order.saga else None

    @extend_schema_field(ChoreographyOutput(allow_null=True))
    def get_choreography(self, order: Order) -> Any:
        return None if order.saga else ChoreographyOutput(order.choreography).data


class PlacedOutput(TypedDict):
    order: UUID
    url: str
    repeated: bool


class PlacedOrder(PlacedOutput):
    status: Literal["placed"]


class PlacedOfBatch(PlacedOutput):
    status: Literal[202]


class CancellationOutput(TypedDict):
    order: UUID
    status: str
    url: str


PLACING_REFUSALS: tuple[type[Exception] | Refusal, ...] = (
    *(NotYourself, PriceNotYours, UnknownCustomer, OrderTooLarge, TooManyUnderWay, SagaPaused),
    *(Refusal(status.HTTP_422_UNPROCESSABLE_ENTITY, code) for code in get_args(LineFaultCode)),
)
LOCATION = OpenApiParameter("Location", str, OpenApiParameter.HEADER, required=True, response=[202])


class OrderFilters(StrictFilterSet):
    """The filter takes what the field shows."""

    status = ChoiceFilter(
        method="filter_status",
        choices=[(each.value, each.value) for each in ShownStatus],
        error_messages={"invalid_choice": f"must be one of {', '.join(ShownStatus)}"},
    )

    class Meta:
        model = Order
        fields = ("status", "customer", "reference")

    def filter_status(self, orders: QuerySet[Order], name: str, value: str) -> QuerySet[Order]:
        return selectors.filter_by_shown_status(orders, value)


class OrderList(generics.GenericAPIView[Order]):
    refusals: Refusals = {"POST": PLACING_REFUSALS}
    needs: Needs = {"GET": (ANY_USER,), "POST": (ANY_USER,)}
    serializer_class = OrderOutput
    filter_backends = (StrictFilterBackend, MadeByKey)
    filterset_class = OrderFilters
    filterset_fields = OrderFilters.Meta.fields

    def get_queryset(self) -> Any:
        return selectors.visible_orders(self.request.user)

    @extend_schema(operation_id="orders_list", responses=OrderOutput(many=True))
    def get(self, request: Request) -> Response:
        """Your orders, newest first; with the permission `order.view_order` all."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        sagas = selectors.read_sagas(order.saga for order in page if order.saga)
        return self.get_paginated_response(OrderOutput(page, many=True, context={"sagas": sagas}).data)

    @extend_schema(request=OrderInput, responses={202: describe_type(PlacedOrder)}, parameters=[LOCATION])
    @set_key_use(KeyUse.TAKEN)
    def post(self, request: Request) -> Response:
        """Place an order. The answer says where to look; a repeat with the same Idempotency-Key places nothing."""
        given = parse_body(OrderInput, request)
        key = read_key(request)
        customers = CustomerAccess(request.user)
        customers.look_up([given])
        with customers.transaction():
            wanted = read_request(given, customers)
            placed = placing.place_order(
                client=name_client(request),
                request=wanted,
                idempotency_key=key,
                room=under_way.count_room(request.user),
            )
        answer = render_placed(placed)
        return Response(
            {**answer, "status": "placed"},
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": answer["url"], **({REPLAYED: "true"} if placed.repeated else {})},
        )


BATCH_OUTPUT = {
    "type": "object",
    "required": ["results"],
    "properties": {
        "results": {
            "type": "array",
            "description": "one for each order, in their order",
            "items": {"anyOf": [describe_type(PlacedOfBatch), {"$ref": PROBLEM_REF}]},
        }
    },
}


class OrderBatch(generics.GenericAPIView[Order]):
    refusals: Refusals = {"POST": [SagaPaused, KeyInFlight]}
    needs: Needs = {"POST": (ANY_USER,)}
    serializer_class = BatchInput

    @extend_schema(responses={200: BATCH_OUTPUT})
    @set_key_use(KeyUse.REFUSED, KEY_OF_BATCH)
    def post(self, request: Request) -> Response:
        """Place many orders, each with an outcome of its own: `status` 202 with the order, or the problem it has."""
        given = parse_body(BatchInput, request)
        customers = CustomerAccess(request.user)
        with customers.transaction():
            read = validate_orders(given["orders"], customers)
            submissions = [each for each in read if isinstance(each, OrderSubmission)]
            room = under_way.count_room(request.user)
            outcomes = iter(
                placing.place_orders(client=name_client(request), submissions=submissions, room=room)
            )
            results = [next(outcomes) if isinstance(each, OrderSubmission) else each for each in read]
            if customers.newcomer and not any(isinstance(result, Placed) for result in results):
                transaction.set_rollback(True)
        return Response({"results": [render_result(result) for result in results]})


def render_result(result: Placed | APIException) -> dict[str, Any]:
    if isinstance(result, APIException):
        return build_problem(result, result.status_code)
    return {"status": status.HTTP_202_ACCEPTED, **render_placed(result)}


def render_placed(placed: Placed) -> dict[str, Any]:
    return {
        "order": placed.order, "url": reverse("order", args=[placed.order]), "repeated": placed.repeated,
    }  # fmt: skip


class OrderAPI(generics.GenericAPIView[Order]):
    needs: Needs = {"GET": (ANY_USER,), "POST": (ANY_USER,)}
    serializer_class = OrderDetail

    def get_queryset(self) -> Any:
        return selectors.visible_orders(self.request.user).prefetch_related("lines")


class OrderShow(OrderAPI):
    def get(self, request: Request, pk: UUID) -> Response:
        """One order with the state of every step of its saga, or with the events that were seen of it."""
        order = self.get_object()
        return Response(
            OrderDetail(order, context={"sagas": selectors.read_sagas(filter(None, [order.saga]))}).data
        )


@dataclass(frozen=True)
class Cancellation:
    """What became of a request to cancel an order."""

    order: UUID
    status: str

    def __str__(self) -> str:
        return f"{self.order} {self.status}"

    @staticmethod
    def parse(text: str) -> Cancellation:
        order, state = text.split()
        return Cancellation(UUID(order), state)


CANCELLED = Answer[Cancellation](
    lambda made, _: {**asdict(made), "url": reverse("order", args=[made.order])},
    Cancellation.parse,
    status.HTTP_202_ACCEPTED,
    name=str,
    subject=attrgetter("order"),
)


class OrderCancel(OrderAPI):
    throttle_scope = "verbs"
    refusals: Refusals = {"POST": [TooLate, OperatorRefused]}

    @extend_schema(request=ClientInput, responses={202: describe_type(CancellationOutput)})
    @answer_once(CANCELLED)
    def post(self, request: Request, pk: UUID) -> Cancellation:
        """Ask to cancel. 202: it is stopping, or cancelled already; 409 with the reason: it is too late."""
        parse_body(ClientInput, request)
        order = self.get_object()
        if not selectors.owns_order(request.user, order) and not may(request.user, "order.change_order"):
            raise PermissionDenied("You need the permission order.change_order to cancel another's order.")
        state = cancelling.cancel_for(request.user, order=order, why="asked for by the API")
        return Cancellation(order.pk, state)


class RefundInput(ClientInput):
    amount = StrictIntegerField(
        min_value=1, max_value=MAX_AMOUNT, help_text="minor units of the order's currency"
    )
    reason = StrictCharField(max_length=200)


class RefundOutput(serializers.ModelSerializer[Refund]):
    class Meta:
        model = Refund
        fields = ("id", "order", "amount", "reason", "by", "status", "detail", "created_at")


REFUNDED = Answer[Refund](
    lambda refund, _: RefundOutput(refund).data,
    find_row(Refund),
    status.HTTP_202_ACCEPTED,
    subject=attrgetter("order_id"),
)


class RefundList(generics.ListAPIView[Refund]):
    refusals: Refusals = {"POST": [NotRefundable, AmountNotPayable, SagaPaused]}
    serializer_class = RefundOutput
    queryset = Refund.objects.all()
    filter_backends = (StrictFilterBackend, MadeByKey)
    filterset_fields = ("status",)

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(order=self.kwargs.get("pk"))

    @extend_schema(request=RefundInput, responses={202: RefundOutput})
    @answer_once(REFUNDED)
    def post(self, request: Request, pk: UUID) -> Refund:
        """Give money back for a confirmed order."""
        given = parse_body(RefundInput, request)
        order = generics.get_object_or_404(Order, pk=pk)
        return services.request_refund(order=order.pk, by=request.user.get_username(), **given)


class OrderHistory(history_api.History):
    """The history of an order, however it is carried out."""

    def get_row(self, pk: UUID) -> Any:
        order = generics.get_object_or_404(Order, pk=pk)
        if row := selectors.read_flows([order]).get(pk):
            return row
        raise NotFound("What carried out this order is deleted: its time is over.")


urlpatterns = [
    *saga_api.urlpatterns,
    *batches_api.urlpatterns,
    *holds_api.urlpatterns,
    *approvals_api.urlpatterns,
    *dead_letters_api.urlpatterns,
    *proof_api.urlpatterns,
    *notifications_api.urlpatterns,
    *rules_api.urlpatterns,
    *acts_api.operator_paths("order", CHOREOGRAPHIES, history=OrderHistory),
    path("customers/", CustomerList.as_view(), name="customers"),
    path("customers/<uuid:pk>/", CustomerShow.as_view(), name="customer"),
    path("customers/<uuid:pk>/forget/", CustomerForget.as_view(), name="customer-forget"),
    path("erasures/", ErasureList.as_view(), name="erasures"),
    path("erasures/<uuid:pk>/", ErasureShow.as_view(), name="erasure"),
    path("products/<str:sku>/", ProductShow.as_view(), name="product"),
    path("orders/", OrderList.as_view(), name="orders"),
    path("orders/batch/", OrderBatch.as_view(), name="order-batch"),
    path("orders/<uuid:pk>/", OrderShow.as_view(), name="order"),
    path("orders/<uuid:pk>/cancel/", OrderCancel.as_view(), name="order-cancel"),
    *support_api.urlpatterns,
    path("orders/<uuid:pk>/refunds/", RefundList.as_view(), name="order-refunds"),
]
