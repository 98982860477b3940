"""Environment: where the settings come from."""

from __future__ import annotations

import os
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from celery_config.common.secret_files import SecretUnreadable, read_secret_files

ROOT = Path(__file__).resolve().parent.parent.parent
try:
    read_secret_files(os.environ)
except SecretUnreadable as error:
    raise ImproperlyConfigured(str(error)) from None
env = environ.Env()
