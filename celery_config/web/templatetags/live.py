"""Tags of fragments that renew themselves."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from celery_config.web.columns import format_ago
from celery_config.web.live import POLL_SECONDS

register = template.Library()


@register.simple_tag
def live(url: str = "", seconds: int = POLL_SECONDS) -> SafeString:
    """The attributes of a fragment's outermost element, which also needs an id.

    Args:
        url: where the fragment is asked for again; empty: what it shows has ended, and it stays as it is.
        seconds: how often it is asked for.
    """
    if not url:
        return SafeString("")
    return format_html(
        'data-live hx-get="{}" hx-trigger="every {}s [isLive()]" hx-swap="outerHTML" hx-sync="this:drop"',
        url,
        seconds,
    )


@register.filter
def ago(at: datetime | None) -> SafeString | str:
    return format_ago(at)
