"""Sagas for operators: where each stands, its steps, what it decided; and two guarded verbs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.timezone import localtime
from unfold.decorators import display

from celery_config.api.admin import FactAdmin, FactInline, typed
from celery_config.api.display import EMPTY, id_of, json_of, label_of, link, saga_of, table_of
from celery_config.saga import clock, runner
from celery_config.saga.dsl import Saga
from celery_config.saga.machine import Retry, Status
from celery_config.saga.models import (
    DeadLetter,
    OperatorAction,
    SagaDecision,
    SagaInstance,
    SagaPause,
    SagaStep,
)

COLOURS = {
    "running": "info",
    "stopping": "warning",
    "forward": "info",
    "completed": "success",
    "compensated": "warning",
    "parked": "danger",
}
STATUS = label_of("status", COLOURS)
STEP_COLOURS = {"done": "success", "refused": "danger", "undone": "warning"}


class StepInline(FactInline):
    model = SagaStep
    fields = (
        "name", "kind", label_of("logged", STEP_COLOURS, "state", empty="not known"), table_of("reply"),
        table_of("refusal"), table_of("failure"), "updated_at",
    )  # fmt: skip


class DecisionInline(FactInline):
    model = SagaDecision
    fields = ("at", "came", "status_before", "status_after", "sent", "detail")


class OperatorInline(FactInline):
    model = OperatorAction
    fields = ("at", "verb", "what", "by", "why", "effect")


class DefinitionFilter(admin.SimpleListFilter):
    """By the definitions that this code knows: no table is read to find them."""

    title = "definition"
    parameter_name = "definition"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(f"{name}@{version}", f"{name} {version}") for name, version in sorted(Saga.registry)]

    def queryset(self, request: HttpRequest, sagas: QuerySet[SagaInstance]) -> QuerySet[SagaInstance]:
        name, _, version = (self.value() or "").partition("@")
        return sagas.filter(name=name, version=version) if version.isdecimal() else sagas


@admin.register(SagaInstance)
class SagaAdmin(FactAdmin):
    list_display = (
        id_of("id"),
        "definition",
        STATUS,
        id_of("subject"),
        "why",
        "started_at",
        "ended_at",
    )
    list_filter = ("status", DefinitionFilter)
    search_ids = ("id", "subject")
    search_help_text = "saga id or order id"
    ordering = ("-started_at",)
    inlines = (StepInline, DecisionInline, OperatorInline)
    actions = ("ask_to_stop", "retry_parked")
    subject_view = ""
    """The name of the admin page of what sagas are about; empty: it has none."""
    fields = (
        "id", "definition", "about", STATUS, table_of("cause"), table_of("data"), "attempt", "drives",
        "started_at", "ended_at", "since", "deadline_at", "due_at", "saga_time", "owner", "answer_by", "fingerprint",
    )  # fmt: skip

    @display(description="definition", ordering="name")
    def definition(self, saga: SagaInstance) -> str:
        return f"{saga.name} {saga.version}"

    @display(description="subject")
    def about(self, saga: SagaInstance) -> Any:
        return link(self.subject_view, saga.subject, saga.subject)

    @display(description="saga time now")
    def saga_time(self, saga: SagaInstance) -> str:
        """It stands still while a participant is away, so that a time in it says little without."""
        return date_format(localtime(clock.now()), "DATETIME_FORMAT")

    @display(description="why")
    def why(self, saga: SagaInstance) -> str:
        return str(saga.cause.get("code", EMPTY))

    def has_act_permission(self, request: HttpRequest) -> bool:
        """The verbs are for who may change sagas, though nobody edits one by hand."""
        return request.user.has_perm("saga.change_sagainstance")

    @admin.action(description="Cancel: stop and undo what was done", permissions=["act"])
    def ask_to_stop(self, request: HttpRequest, sagas: QuerySet[SagaInstance]) -> None:
        reason = f"cancelled by {request.user.get_username()} in the admin"
        for saga in sagas:
            status = runner.stop(saga.pk, code="cancelled", reason=reason)
            self.tell(request, saga, status, (Status.STOPPING, Status.COMPENSATED))

    @admin.action(description="Try a parked saga again: stop it, fence included", permissions=["act"])
    def retry_parked(self, request: HttpRequest, sagas: QuerySet[SagaInstance]) -> None:
        for saga in sagas:
            self.tell(request, saga, runner.receive(saga.pk, Retry()), (Status.STOPPING,))

    def tell(self, request: HttpRequest, saga: SagaInstance, status: Any, good: tuple[Status, ...]) -> None:
        level = messages.SUCCESS if status in good else messages.WARNING
        refused = "" if status in good else "; refused"
        self.message_user(request, f"{saga.name} of {saga.subject}: {status}{refused}", level)


@admin.register(DeadLetter)
class DeadLetterAdmin(FactAdmin):
    list_display = ("received_at", "task", "reason", saga_of(short=True), "step", "consequence")
    list_filter = (typed("reason"), typed("queue"))
    search_ids = ("saga", "task_id")
    search_fields = ("task__icontains",)
    search_help_text = "saga id, command id or task"
    ordering = ("-received_at",)
    fields = (
        "received_at", "reason", "queue", "task", "task_id", saga_of(), "step", "operation", "fault",
        "consequence", json_of("headers"), json_of("body"),
    )  # fmt: skip


@admin.register(OperatorAction)
class OperatorActionAdmin(FactAdmin):
    list_display = ("at", "verb", "what", saga_of("saga_id", "saga", short=True), "by", "why")
    list_filter = (typed("by"),)
    search_ids = ("saga",)
    search_help_text = "saga id"
    ordering = ("-at", "-id")
    fields = ("at", "verb", "what", saga_of("saga_id", "saga"), "by", "why", "effect")


@admin.register(SagaPause)
class PauseAdmin(FactAdmin):
    list_display = ("__str__", "since", "by", "why")
    ordering = ("id",)
    fields = ("saga", "step", "since", "by", "why")
