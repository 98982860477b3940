"""The bar above every page: the four services, the parts of this one, and Flower."""

from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings

from celery_config.web.elsewhere import list_parts, list_services

register = template.Library()


@register.inclusion_tag("order_saga/services.html")
def services(here: str = "", *, is_searchable: bool = False) -> dict[str, Any]:
    """
    Args:
        here: the part of the service that shows the page: Admin, API, Events, Service; empty: none of them.
        is_searchable: whether Ctrl-K opens the search on this page.
    """
    return {
        "service": settings.SERVICE,
        "services": list_services(),
        "parts": list_parts(here),
        "is_searchable": is_searchable,
    }
