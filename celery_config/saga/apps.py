from django.apps import AppConfig


class SagaConfig(AppConfig):
    name = "celery_config.saga"
    verbose_name = "Orchestration"

    def ready(self) -> None:
        from celery_config.saga.engine import saga_flow  # noqa: F401  (registers sagas as a watched flow)
