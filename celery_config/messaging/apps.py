from importlib import import_module
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.models.signals import post_migrate
from kombu.utils.url import parse_url

from celery_config.failpoints import arming
from celery_config.settings import env


class MessagingConfig(AppConfig):
    name = "celery_config.messaging"

    def ready(self) -> None:
        # Celery finds the tasks of an app in its module `tasks`; those that receive events are in another one.
        import_module("celery_config.messaging.inbox.receiver")
        post_migrate.connect(begin_epoch, sender=self)
        if folder := env.str("FAILPOINTS", ""):
            if settings.ENVIRONMENT == "production":
                raise ImproperlyConfigured("FAILPOINTS kills processes; it is for tests only.")
            # Only such a process pays for what this imports.
            from celery_config.messaging import failpoint_patches

            arming.install(
                Path(folder),
                database_port=int(connection.settings_dict["PORT"] or 0),
                broker_ports=[
                    int(parse_url(url).get("port") or 0) for url in settings.CELERY_BROKER_URL.split(";")
                ],
            )
            failpoint_patches.install()


def begin_epoch(**_: Any) -> None:
    """After every `migrate`: the triggers of published tables read the epoch's row."""
    from celery_config.messaging import epochs

    epochs.current()
