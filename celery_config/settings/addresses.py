"""Addresses: where services call each other, and where people's browsers reach the services and Flower."""

from __future__ import annotations

from celery_config.common.services import SERVICES
from celery_config.settings.environment import env


def service_url(service: str) -> str:
    """The base address of a service's API, for other services."""
    return str(env.str(f"{service.upper()}_URL", f"http://127.0.0.1:{SERVICES[service].port}"))


def public_url(service: str) -> str:
    """The base address of a service's pages, for browsers; without a last slash."""
    return str(env.str(f"{service.upper()}_PUBLIC_URL", "") or service_url(service)).rstrip("/")


def flower_public_url() -> str:
    """The base address of Flower, for browsers; empty: there is none, or its address is not set."""
    return str(env.str("FLOWER_PUBLIC_URL", "")).rstrip("/")


def public_urls() -> dict[str, str]:
    """The base address of each service's pages."""
    return {name: public_url(name) for name in SERVICES}
