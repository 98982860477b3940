"""Choreographed orders in the admin: where each stands, what was seen of it, and the verbs of sagas (rule 25)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from celery_config.saga.admin.operator_pages import FingerprintFilter, OperatorPages
from celery_config.saga.admin.widgets import COLOURS
from celery_config.saga.models import OperatorAction
from celery_config.saga.operations import operators as of_sagas
from celery_config.saga.operations.effects import Course
from celery_config.saga.operations.previews import Preview
from celery_config.saga.states import Status
from celery_config.web.admin import ReadOnlyInline
from celery_config.web.columns import EMPTY, label_column, link_column, table_column, time_column
from order_project import operators, parking
from order_project.models import Choreography, SeenEvent

PAGE = "admin:order_choreography_change"
STATUS = label_column("status", COLOURS)


class SeenInline(ReadOnlyInline):
    model = SeenEvent
    fields = ("kind", table_column("content", "what it says"), "at")


class ChoreographyAdmin(OperatorPages):
    page = PAGE
    labels = operators.LABELS
    fitting: ClassVar[Mapping[str, Sequence[str]]] = {
        **operators.FITTING,
        "take_over": (Status.PARKED,),
        "settle_by_hand": of_sagas.IN_DOUBT,
    }
    actions_detail = tuple(fitting)
    list_display = (
        link_column("order_id", PAGE, "order", short=True), STATUS, "drives",
        time_column("due_at", "looked at"), "owner", "fingerprint",
    )  # fmt: skip
    list_filter = ("status", FingerprintFilter)
    search_ids = ("order",)
    search_help_text = "order id"
    ordering = ("-order",)
    inlines = (SeenInline,)
    fields = (
        link_column("order_id", "admin:order_order_change", "order"), STATUS, table_column("cause"),
        table_column("failure"), "attempt", "drives", "since", "deadline_at", "due_at", "owner",
        "answer_by", "fingerprint", "operated",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Choreography]:
        return super().get_queryset(request).defer("placed")  # type: ignore[no-any-return]

    @display(description="what operators did")
    def operated(self, row: Choreography) -> Any:
        did = OperatorAction.objects.filter(subject=str(row.pk))
        told = [(each.verb, each.what, each.by, each.why, each.effect) for each in did]
        return format_html_join(SafeString("<br>"), "{} {} by {}: {} ({})", told) or EMPTY

    def named(self, row: Choreography) -> str:
        return f"order {row.pk}"

    def course_of(self, row: Choreography) -> Course:
        return parking.course_of(row)

    def preview(self, row: Choreography, verb: str) -> Preview:
        return operators.preview(row.pk, verb)

    def perform(self, row: Choreography, verb: str, *, by: str, why: str) -> OperatorAction:
        return operators.perform(row.pk, verb, by=by, why=why)

    def own(self, row: Choreography, *, by: str, why: str) -> OperatorAction:
        return operators.take_over(row.pk, by=by, why=why)

    def settle(
        self, row: Choreography, step: str, operation: str, answer: dict[str, Any], *, by: str, why: str
    ) -> OperatorAction:
        return operators.settle_by_hand(row.pk, step, operation, answer, by=by, why=why)
