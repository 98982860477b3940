from django.apps import AppConfig


class ShipmentConfig(AppConfig):
    name = "shipment_app"
    label = "shipment"

    def ready(self) -> None:
        from shipment_app import checks  # noqa: F401  (registers the checks)
