"""The sidebar: what people work with comes first, with the number of what waits; the internals are folded together."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.cache import cache
from django.http import HttpRequest
from django.urls import reverse
from django.utils.module_loading import import_string

BADGE_SECONDS = 5
BADGES_KEY = "sidebar-badges"
INTERNAL = ("copies", "messaging", "auth", "api")


def list_groups(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups of unfold's sidebar: each app's pages that this person may see."""
    waiting = count_waiting()
    groups, internals = [], []
    for app in admin.site.get_app_list(request):
        items = [make_item(model, waiting) for model in app["models"] if model["admin_url"]]
        if app["app_label"] in INTERNAL:
            internals += items
        else:
            groups.append({"title": app["name"], "items": items})
    if groups:
        groups[0]["items"].insert(0, {"title": "Board", "link": reverse("admin:index")})
    groups.append({"title": "Internals", "collapsible": True, "items": internals})
    return [group for group in groups if group["items"]]


def make_item(model: dict[str, Any], waiting: Counter[str]) -> dict[str, Any]:
    """Return one page's line, with a badge if somebody must act there."""
    item = {"title": model["name"], "link": model["admin_url"]}
    count = waiting[model["model"]._meta.label_lower]
    return {**item, "badge": count, "badge_variant": "danger"} if count else item


def count_waiting() -> Counter[str]:
    """Count what waits on each page, by the label of its model; a process counts at most once in `BADGE_SECONDS`."""
    counts: Counter[str] | None = cache.get(BADGES_KEY)
    if counts is None:
        counts = Counter()
        for path in settings.BADGES:
            counts.update(import_string(path)())
        cache.set(BADGES_KEY, counts, BADGE_SECONDS)
    return counts
