"""Filters of the order desk's pages."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from celery_config.common import money as amounts
from celery_config.common.moments import Moment, format_moment
from celery_config.saga.operations.explanation import Explanation
from celery_config.saga.operations.wording import Part
from celery_config.web.columns import format_ago

register = template.Library()


@register.filter
def money(amount: int, currency: str) -> str:
    return amounts.money(amount, currency)


@register.filter
def ending(value: Any) -> str:
    """The end of an id: ids that grow with time begin alike."""
    return str(value)[-8:]


@register.filter
def sentence(explanation: Explanation) -> SafeString:
    """The explanation of a flow; the browser adds how far away its times are."""
    return format_html_join("", "{}", ((write_part(part, explanation),) for part in explanation.parts))


def write_part(part: Part, explanation: Explanation) -> str:
    if isinstance(part, str):
        return part
    told = format_moment(Moment(part.at, day_only=part.day_only), explanation.now)
    return format_html("{} ({})", told, format_ago(part.at)) if part.away else told
