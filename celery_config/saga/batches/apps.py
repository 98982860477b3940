from django.apps import AppConfig


class BatchesConfig(AppConfig):
    name = "celery_config.saga.batches"
    verbose_name = "Orchestration"  # its page stands with those of sagas
