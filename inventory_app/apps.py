from django.apps import AppConfig


class InventoryConfig(AppConfig):
    name = "inventory_app"
    label = "inventory"
