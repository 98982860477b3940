from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "celery_config.messaging"
    label = "messaging"
    verbose_name = "Messaging"
