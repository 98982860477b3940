from django.apps import AppConfig


class OrderConfig(AppConfig):
    name = "order_project"
    label = "order"

    def ready(self) -> None:
        from order_project import checks, sagas  # noqa: F401  (registers the checks and the sagas)
        from order_project.choreography import flow  # noqa: F401  (registers the flow)
