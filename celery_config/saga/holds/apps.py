from django.apps import AppConfig


class HoldsConfig(AppConfig):
    name = "celery_config.saga.holds"
    verbose_name = "Orchestration"  # its page stands with those of sagas
