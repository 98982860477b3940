from django.apps import AppConfig


class OrderConfig(AppConfig):
    name = "order_project"
    label = "order"
    verbose_name = "Order"
