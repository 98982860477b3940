from django.apps import AppConfig


class SagaConfig(AppConfig):
    name = "celery_config.saga"
    label = "saga"
    verbose_name = "Orchestration"
