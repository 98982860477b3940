"""Shipment's HTTP API: reads only, for staff and the other services; what it does, it does for commands."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.urls import URLPattern, URLResolver, path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.sweep import in_words
from shipment_app import selectors
from shipment_app.carriers import CarrierError
from shipment_app.models import Shipment
from shipment_app.reconciliation import compare_books

MAX_ORDERS = 500


class CarrierAway(APIException):
    """503: the carrier's books cannot be read now."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "carrier_away"
    default_detail = "The carrier's books cannot be read now. Try again."


class ShipmentSerializer(serializers.ModelSerializer[Shipment]):
    class Meta:
        model = Shipment
        fields = (
            "id", "order", "state", "carrier_id", "tracking_number", "name", "line1", "city", "postal_code",
            "country", "weight_grams", "parcels", "created_at", "updated_at",
        )  # fmt: skip


class ShipmentsApi(generics.ListAPIView[Shipment]):
    """Shipments, newest first."""

    serializer_class = ShipmentSerializer
    filterset_fields = ("order", "state")

    def get_queryset(self) -> Any:
        return selectors.shipments()


class ShipmentApi(generics.RetrieveAPIView[Shipment]):
    """One shipment."""

    serializer_class = ShipmentSerializer

    def get_queryset(self) -> Any:
        return selectors.shipments()


class CarrierBooksApi(APIView):
    """The carrier's books compared with ours."""

    class InputSerializer(serializers.Serializer[Any]):
        days = serializers.FloatField(
            required=False, min_value=0, max_value=3650, help_text="default: everything"
        )

    class OutputSerializer(serializers.Serializer[Any]):
        checked = serializers.IntegerField(help_text="entries in the carrier's books")
        under_way = serializers.IntegerField(help_text="orders not judged, since a call for them is open")
        findings = serializers.ListField(
            child=serializers.CharField(), help_text="every difference, in words"
        )

    @extend_schema(parameters=[InputSerializer], responses=OutputSerializer)
    def get(self, request: Request) -> Response:
        """No findings means that they agree."""
        given = self.InputSerializer(data=request.query_params)
        given.is_valid(raise_exception=True)
        days = given.validated_data.get("days")
        try:
            result = compare_books(None if days is None else timezone.now() - timedelta(days=days))
        except CarrierError as error:
            raise CarrierAway from error
        findings = [in_words(finding) for finding in result.findings]
        return Response({"checked": result.checked, "under_way": result.under_way, "findings": findings})


class FactsApi(APIView):
    """What shipment did, for the audit."""

    class InputSerializer(serializers.Serializer[Any]):
        orders = serializers.ListField(child=serializers.UUIDField(), max_length=MAX_ORDERS)
        totals = serializers.BooleanField(default=True, help_text="false: leave out what is about all orders")

    @extend_schema(request=InputSerializer, responses={200: dict})
    def post(self, request: Request) -> Response:
        """The shipment of each order that has one; a read with a long question."""
        given = self.InputSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        answer: dict[str, Any] = {"facts": selectors.facts(orders=given.validated_data["orders"])}
        if given.validated_data["totals"]:
            answer["totals"] = selectors.totals()
        return Response(answer)


urlpatterns: list[URLPattern | URLResolver] = [
    path("shipments/", ShipmentsApi.as_view(), name="shipments"),
    path("shipments/<uuid:pk>/", ShipmentApi.as_view(), name="shipment"),
    path("carrier-books/", CarrierBooksApi.as_view(), name="carrier-books"),
    path("facts/", FactsApi.as_view(), name="facts"),
]
