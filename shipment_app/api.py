"""Shipment's HTTP API: reads only, for staff and the other services; what it does, it does for commands."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, URLResolver, path
from rest_framework import generics, serializers

from celery_config.copies.api import CopiedDetail
from celery_config.participant.api import WebhookApi
from celery_config.reconciliation.api import BooksApi, FactsApi
from shipment_app import selectors, webhooks
from shipment_app.models import DeliveryAddress, Shipment
from shipment_app.reconciliation import books


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


class DeliveryAddressSerializer(serializers.ModelSerializer[DeliveryAddress]):
    class Meta:
        model = DeliveryAddress
        fields = ("customer", "delivery_address", "version", "changed_at")


class DeliveryAddressApi(CopiedDetail):
    """Where a customer's parcels usually go."""

    serializer_class = DeliveryAddressSerializer
    queryset = DeliveryAddress.everything.all()


class CarrierBooksApi(BooksApi):
    """The carrier's books."""

    books = books


class ShipmentFactsApi(FactsApi):
    """What shipment did."""

    facts = staticmethod(selectors.facts)
    totals = staticmethod(selectors.totals)


class CarrierEventsApi(WebhookApi):
    """The carrier's webhooks."""

    read = staticmethod(webhooks.read)


urlpatterns: list[URLPattern | URLResolver] = [
    path("shipments/", ShipmentsApi.as_view(), name="shipments"),
    path("shipments/<uuid:pk>/", ShipmentApi.as_view(), name="shipment"),
    path("delivery-addresses/<uuid:pk>/", DeliveryAddressApi.as_view(), name="delivery-address"),
    path("carrier-books/", CarrierBooksApi.as_view(), name="carrier-books"),
    path("carrier-events/", CarrierEventsApi.as_view(), name="carrier-events"),
    path("facts/", ShipmentFactsApi.as_view(), name="facts"),
]
