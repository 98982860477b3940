from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "celery_config.saga.approvals"
    verbose_name = "Orchestration"  # its page stands with those of sagas
