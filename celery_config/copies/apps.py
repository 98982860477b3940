from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules


class CopiesConfig(AppConfig):
    name = "celery_config.copies"
    verbose_name = "Copied data"

    def ready(self) -> None:
        from celery_config.copies import triggers

        # Each service's `copies.py` declares what it publishes and what it keeps.
        autodiscover_modules("copies")
        # SQLite drops a table's triggers when it alters the table, and contracts gain fields.
        post_migrate.connect(triggers.install_all, sender=self)
