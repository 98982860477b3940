from __future__ import annotations

from django.apps import AppConfig


class ErasureConfig(AppConfig):
    name = "celery_config.erasure"
    label = "erasure"
    verbose_name = "Erasure"
