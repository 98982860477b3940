"""Addresses of pages of the other services and of Flower, as browsers reach them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings

from celery_config.common.services import ORCHESTRATOR, SERVICES

STATIC = Path(__file__).parent / "static"


class Link(NamedTuple):
    """A link in the bar of the services.

    Args:
        is_here: whether it leads to the service, or to the part of it, that shows the page.
        icon: a static file.
    """

    name: str
    url: str
    is_here: bool = False
    icon: str = ""


def find_icon(service: str) -> str:
    """The static file of a service's icon; one without a drawing of its own has the common one."""
    own = f"order_saga/{service}.svg"
    return own if (STATIC / own).is_file() else "order_saga/service.svg"


def list_services() -> list[Link]:
    """The admins of all services."""
    return [
        Link(
            name,
            "/admin/" if name == settings.SERVICE else admin_url(name),
            name == settings.SERVICE,
            find_icon(name),
        )
        for name in SERVICES
    ]


def list_parts(here: str) -> list[Link]:
    """The parts of this service that people open, and Flower.

    Args:
        here: the name of the part that shows the page.
    """
    parts = {"Admin": "/admin/", "API": "/api/docs/", "Events": "/api/events/docs/", "Service": "/"}
    links = [Link(name, url, name == here) for name, url in parts.items()]
    return [*links, Link("Flower", settings.FLOWER_PUBLIC_URL)] if settings.FLOWER_PUBLIC_URL else links


def admin_url(service: str, page: str = "") -> str:
    """The address of a page of a service's admin: `payment/payment/?q=…`."""
    return f"{settings.PUBLIC_URLS[service]}/admin/{page}"


def find_url(service: str, word: object) -> str:
    """The address of a service's page that finds what a word stands for."""
    return admin_url(service, f"find/?{urlencode({'q': word})}")


def order_url(order: UUID | str) -> str:
    """The address of an order's page."""
    return admin_url(ORCHESTRATOR, f"order/order/{order}/change/")


def saga_url(saga: UUID | str) -> str:
    """The address of a saga's page."""
    return admin_url(ORCHESTRATOR, f"saga/sagainstance/{saga}/change/")


def row_url(service: str, table: str, order: UUID | str) -> str:
    """The address that leads to the one row of an order in a participant's table, such as its payment.

    Args:
        table: `app/model`, as in the admin's addresses.
    """
    return admin_url(service, f"{table}/of-order/{order}/")


def tasks_url(saga: UUID | str) -> str:
    """The address of the tasks of a saga, or of a choreographed order, in Flower; empty: there is no Flower."""
    return f"{settings.FLOWER_PUBLIC_URL}/saga/{saga}" if settings.FLOWER_PUBLIC_URL else ""


def task_url(task: UUID | str) -> str:
    """The address of a task in Flower; empty: there is no Flower."""
    return f"{settings.FLOWER_PUBLIC_URL}/task/{task}" if settings.FLOWER_PUBLIC_URL else ""
