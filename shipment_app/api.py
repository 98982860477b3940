"""The shipment API: reads for staff and the other services; only commands change a shipment."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path
from rest_framework import generics, serializers

from celery_config.copies.api import CopiedDetail
from celery_config.participant.api import WebhookApi
from celery_config.reconciliation.api import FactsApi, ReconciliationApi
from celery_config.web.permissions import find_table_needs
from shipment_app import selectors
from shipment_app.carriers import carrier
from shipment_app.models import DeliveryAddress, Shipment
from shipment_app.reconciliation import SOURCE
from shipment_app.webhooks import describe_outcome


class ShipmentSerializer(serializers.ModelSerializer[Shipment]):
    class Meta:
        model = Shipment
        fields = (
            "id", "order", "state", "carrier_id", "tracking_number", "name", "line1", "line2", "city",
            "region", "postal_code", "country", "weight_grams", "parcels", "created_at", "updated_at",
        )  # fmt: skip


class ShipmentsApi(generics.ListAPIView[Shipment]):
    """Shipments, newest first."""

    serializer_class = ShipmentSerializer
    queryset = Shipment.objects.all()
    filterset_fields = ("order", "state")


class ShipmentApi(generics.RetrieveAPIView[Shipment]):
    """One shipment."""

    serializer_class = ShipmentSerializer
    queryset = Shipment.objects.all()


class DeliveryAddressSerializer(serializers.ModelSerializer[DeliveryAddress]):
    class Meta:
        model = DeliveryAddress
        fields = ("customer", "delivery_address", "version", "changed_at")


class DeliveryAddressApi(CopiedDetail):
    """The copy of a customer's usual delivery address."""

    serializer_class = DeliveryAddressSerializer
    queryset = DeliveryAddress.everything.all()


urlpatterns: list[URLPattern | URLResolver] = [
    path("shipments/", ShipmentsApi.as_view(), name="shipments"),
    path("shipments/<uuid:pk>/", ShipmentApi.as_view(), name="shipment"),
    path("delivery-addresses/<uuid:pk>/", DeliveryAddressApi.as_view(), name="delivery-address"),
    path(
        "carrier-books/",
        ReconciliationApi.as_view(source=SOURCE, needs=find_table_needs(Shipment)),
        name="carrier-books",
    ),
    path(
        "carrier-events/",
        WebhookApi.as_view(provider=carrier, describe_outcome=describe_outcome),
        name="carrier-events",
    ),
    path("facts/", FactsApi.as_view(facts=selectors.facts, totals=selectors.totals), name="facts"),
]
