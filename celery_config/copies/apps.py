from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules


class CopiesConfig(AppConfig):
    name = "celery_config.copies"
    label = "copies"
    verbose_name = "Copies"

    def ready(self) -> None:
        from celery_config.copies import checks  # noqa: F401  (registers them)

        # Each service's `copies.py` declares what it publishes and what it keeps.
        autodiscover_modules("copies")
        post_migrate.connect(install_triggers, sender=self)


def install_triggers(using: str, **_: Any) -> None:
    """After every `migrate`: SQLite drops a table's triggers when it alters the table, and contracts gain fields."""
    from celery_config.copies import triggers

    triggers.install_all(using)
