"""The HTTP API of erasures: request one, and read the receipts of the services."""

from __future__ import annotations

from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.views import APIView

from celery_config.errors import OperatorRefused, SagaPaused
from celery_config.messaging.idempotency import Answer, answer_once, find_row
from celery_config.saga.operations.acts_api import WhyInput
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import Needs
from celery_config.web.refusals import Refusals
from order_project.erasure import requests
from order_project.errors import OrdersUnderWay
from order_project.models import Erasure, ErasureReceipt


class ReceiptOutput(serializers.ModelSerializer[ErasureReceipt]):
    class Meta:
        model = ErasureReceipt
        fields = ("service", "rows", "at")


class ErasureOutput(serializers.ModelSerializer[Erasure]):
    """`under way` until all four services have forgotten; `receipts` say which have, and what."""

    url = serializers.SerializerMethodField()
    status = serializers.CharField()
    receipts = ReceiptOutput(many=True)

    class Meta:
        model = Erasure
        fields = ("id", "url", "customer", "status", "by", "why", "asked_at", "done_at", "receipts")

    def get_url(self, erasure: Erasure) -> str:
        return reverse("erasure", args=[erasure.pk])


FORGOTTEN = Answer[Erasure](
    lambda erasure, _: ErasureOutput(erasure).data,
    find_row(Erasure),
    status.HTTP_202_ACCEPTED,
    location=lambda erasure: reverse("erasure", args=[erasure.pk]),
)


class CustomerForget(APIView):
    needs: Needs = {"POST": ("order.add_erasure",)}
    throttle_scope = "verbs"
    refusals: Refusals = {"POST": [OrdersUnderWay, OperatorRefused, SagaPaused]}

    @extend_schema(request=WhyInput, responses={202: ErasureOutput})
    @answer_once(FORGOTTEN)
    def post(self, request: Request, pk: UUID) -> Erasure:
        """Forget a customer, for good. A repeat finds the erasure; 409 `orders_under_way`: orders have to end first."""
        why = parse_body(WhyInput, request)["why"]
        erasure = requests.request_erasure(customer=pk, by=request.user.get_username(), why=why)
        return Erasure.objects.get(pk=erasure.pk)


class ErasureList(generics.ListAPIView[Erasure]):
    """Erasures, newest first."""

    serializer_class = ErasureOutput
    queryset = Erasure.objects.prefetch_related("receipts")
    ordering = "-asked_at"
    filterset_fields = ("customer",)


class ErasureShow(generics.RetrieveAPIView[Erasure]):
    """One erasure with the receipts of those services that have forgotten."""

    serializer_class = ErasureOutput
    queryset = Erasure.objects.prefetch_related("receipts")
