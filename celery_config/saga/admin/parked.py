"""Page of parked flows, grouped by fingerprint: an on-call operator begins here."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html

from celery_config.common.moments import format_span
from celery_config.saga.admin.cause import FINGERPRINT, get_cause_url, get_view_url
from celery_config.saga.admin.widgets import LINK, break_words, format_deadline
from celery_config.saga.engine import clock
from celery_config.saga.models import ParkedSaga
from celery_config.saga.operations.selectors import ParkedGroup, read_parked_groups
from celery_config.web.admin import ReadOnlyAdmin
from celery_config.web.board import make_table


@admin.register(ParkedSaga)
class ParkedAdmin(ReadOnlyAdmin):
    """One page: the groups. Each leads to the list of what is in it."""

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.changelist_view)
        return [path("", page, name="saga_parkedsaga_changelist")]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("saga.view_sagainstance"))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        groups = read_parked_groups()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Parked",
            "count": sum(group.count for group in groups),
            "table": build_groups_table(groups),
        }
        return TemplateResponse(request, "saga/parked.html", context)


def build_groups_table(groups: list[ParkedGroup]) -> dict[str, Any]:
    now = clock.now()
    rows = [
        [
            format_html(LINK, get_group_url(group), break_words(group.fingerprint or "not known")),
            apps.get_model(group.kind)._meta.verbose_name,
            group.count,
            format_html('<span class="whole">{} ago</span>', format_span(now - group.parked_first)),
            format_deadline(group.answer_by, "overdue"),
            ", ".join(group.owners),
        ]
        for group in groups
    ]
    headers = ["why they wait", "what they are", "how many", "oldest", "to be decided by", "owners"]
    return make_table(headers, rows, "Nothing waits for a decision.")


def get_group_url(group: ParkedGroup) -> str:
    """Return the address of the list of what waits for one cause, or of the page of the only one."""
    model = apps.get_model(group.kind)
    if group.only:
        return get_view_url(model, "change", group.only)
    return get_cause_url(model, {FINGERPRINT: group.fingerprint})
