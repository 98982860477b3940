"""Choreographed orders in the admin: where each stands, what was seen of it, and the one verb (rule 25)."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action

from celery_config.api.admin import FactAdmin, FactInline
from celery_config.api.display import label_of, labelled, link_of, table_of, time_of
from celery_config.saga import barriers
from celery_config.saga.admin.forms import WhyForm
from celery_config.saga.admin.shown import (
    COLOURS,
    SILENT,
    Table,
    act_page,
    carry_out,
    is_confirmed,
    operator,
    posted,
)
from celery_config.saga.machine import OPEN, Status
from order_project import choreography
from order_project.config.settings import OTHERS
from order_project.models import Choreography, SeenEvent

PAGE = "admin:order_choreography_change"
STATUS = label_of("status", COLOURS)
FITTING = (*OPEN, Status.PARKED)
ABOUT = (
    "It says again what was said last of the order: that it was placed, or, while it is being undone, that it is"
    " withdrawn. Each service answers from its barrier, so that nothing is done twice; payment decides first whether"
    " it is too late to undo anything."
)


class SeenInline(FactInline):
    model = SeenEvent
    fields = ("kind", table_of("content", "what it says"), "at")


class ChoreographyAdmin(FactAdmin):
    list_display = (
        link_of("order_id", PAGE, "order", short=True),
        STATUS,
        "drives",
        time_of("due_at", "looked at"),
    )
    list_filter = ("status",)
    search_ids = ("order",)
    search_help_text = "order id"
    ordering = ("-order",)
    inlines = (SeenInline,)
    actions_detail = ("retry",)
    actions_detail_hide_default = True
    fields = (
        link_of("order_id", "admin:order_order_change", "order"), STATUS, table_of("cause"), table_of("failure"),
        "attempt", "drives", "since", "deadline_at", "due_at",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Choreography]:
        return super().get_queryset(request).defer("placed")  # type: ignore[no-any-return]

    def has_act_permission(self, request: HttpRequest, _: Any = None) -> bool:
        return request.user.has_perm("saga.change_sagainstance")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[UnfoldAction]:
        """Only while it fits."""
        row = self.get_object(request, object_id)
        return super().get_actions_detail(request, object_id) if row and row.status in FITTING else []

    @action(description="Retry", icon="refresh", permissions=["act"])
    def retry(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            answer: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return answer
        back, form = reverse(PAGE, args=[row.pk]), WhyForm(posted(request))
        if is_confirmed(request, form):
            by, why = operator(request), form.cleaned_data["why"]
            return carry_out(self, request, back, lambda: choreography.retry(row.pk, by=by, why=why))
        return act_page(
            self, request, title=f"Retry order {row.pk}", about=ABOUT, original=row, form=form, button="Retry",
            back=back, refused="" if row.status in FITTING else f"it is {row.status}",
            tables=[("What the barriers say now", barrier_table(row), "")],
        )  # fmt: skip


def barrier_table(row: Choreography) -> Table:
    """What each service says became of its part."""
    shown = []
    for service, answer in barriers.ask_each(OTHERS, row.pk).items():
        if answer is None:
            shown.append([service, "", labelled(SILENT, {SILENT: "danger"})])
        else:
            shown += [[service, step, str(held)] for step, held in answer.items()]
    return {"headers": ["service", "step", "its barrier"], "rows": shown}
