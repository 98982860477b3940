"""One service's Django in this process."""

from __future__ import annotations

import importlib
import os

from manage import SERVICES


def set_up_django(service: str) -> None:
    """Set up Django with the settings of a service. Nothing that needs Django is imported before."""
    os.environ["DJANGO_SETTINGS_MODULE"] = f"{SERVICES[service]}.config.settings"
    importlib.import_module("django").setup()
