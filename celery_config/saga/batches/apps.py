from django.apps import AppConfig


class BatchesConfig(AppConfig):
    name = "celery_config.saga.batches"
    verbose_name = "Batches"
