"""Jumps: Ctrl-K, and the page `/admin/find/`, lead from an id, its end, a number, an e-mail or a name to its page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.dataclasses import SearchResult

from celery_config.common.services import SERVICES
from celery_config.db.functions import ENDING_LENGTH
from celery_config.web.admin import ServiceAdmin
from celery_config.web.elsewhere import find_url
from celery_config.web.text import has_unstorable_text

MOST_OF_A_TABLE = 5
LONGEST = 254


class Hit(NamedTuple):
    """A page that a word leads to."""

    title: str
    about: str
    url: str


def find_hits(request: HttpRequest, word: str) -> list[Hit]:
    """The rows of this service that a word stands for, as far as the user may see them; a few of each table."""
    if not word or len(word) > LONGEST or has_unstorable_text(word):
        return []
    return [hit for each in list_admins(request) for hit in find_in(each, request, word)]


def list_admins(request: HttpRequest) -> Iterator[ServiceAdmin]:
    for each in admin.site._registry.values():
        if isinstance(each, ServiceAdmin) and each.is_jumped_to and each.has_view_permission(request):
            yield each


def find_in(model_admin: ServiceAdmin, request: HttpRequest, word: str) -> Iterator[Hit]:
    meta = model_admin.opts
    found = model_admin.find_rows(request, model_admin.get_queryset(request), word, keys_only=True)
    for row in found.order_by()[:MOST_OF_A_TABLE]:
        key = f" …{str(row.pk)[-ENDING_LENGTH:]}" if isinstance(row.pk, UUID) else ""
        url = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
        yield Hit(f"{str(meta.verbose_name).capitalize()}{key}", model_admin.describe_row(row), url)


def list_elsewhere(word: str) -> list[Hit]:
    """The same search in the other services."""
    return [
        Hit(f"Look for it in {name}", f"the {name} service", find_url(name, word))
        for name in SERVICES
        if name != settings.SERVICE
    ]


def search(request: HttpRequest, _: str) -> list[SearchResult]:
    """What unfold's palette shows besides the names of pages. It makes the word small, and keys are not."""
    word = request.GET.get("s", "").strip()
    hits = find_hits(request, word)
    if not hits and is_key(word):
        hits = list_elsewhere(word)
    return [SearchResult(title=hit.title, description=hit.about, link=hit.url, icon=None) for hit in hits]


def is_key(word: str) -> bool:
    """Whether a word looks like a key: keys have digits, addresses an @."""
    return any(each.isdigit() or each == "@" for each in word)


def show_find_page(site: Any, request: HttpRequest) -> HttpResponse:
    """Lead to the one row that `?q=` stands for; else list what there is, and the same search elsewhere."""
    if not site.has_permission(request):
        raise PermissionDenied
    word = request.GET.get("q", "").strip()
    hits = find_hits(request, word)
    if len(hits) == 1:
        return redirect(hits[0].url)
    context = {
        **site.each_context(request),
        "title": "Find",
        "word": word,
        "hits": hits,
        "elsewhere": list_elsewhere(word) if word else [],
    }
    return TemplateResponse(request, "order_saga/find.html", context)
