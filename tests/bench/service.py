"""One service's Django in this process."""

from __future__ import annotations

import importlib
import os

from celery_config.common.services import SERVICES


def set_up_django(service: str) -> None:
    """Set up Django with the settings of a service. Nothing that needs Django is imported before."""
    os.environ["DJANGO_SETTINGS_MODULE"] = SERVICES[service].settings_module
    importlib.import_module("django").setup()
