from django.apps import AppConfig


class ShipmentConfig(AppConfig):
    name = "shipment_app"
    label = "shipment"
