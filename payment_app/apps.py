from django.apps import AppConfig


class PaymentConfig(AppConfig):
    name = "payment_app"
    label = "payment"

    def ready(self) -> None:
        from payment_app import checks  # noqa: F401  (registers the checks)
