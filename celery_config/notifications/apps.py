from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "celery_config.notifications"
    verbose_name = "Notifications"
