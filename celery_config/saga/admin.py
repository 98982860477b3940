"""Sagas for operators: where each stands, its steps, what it decided; and two guarded verbs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from celery_config.api.admin import FactAdmin, FactInline
from celery_config.saga import runner
from celery_config.saga.machine import Retry, Status
from celery_config.saga.models import DeadLetter, SagaClock, SagaDecision, SagaInstance, SagaStep

COLOURS = {
    "running": "info",
    "stopping": "warning",
    "forward": "info",
    "completed": "success",
    "compensated": "warning",
    "parked": "danger",
}
STEP_COLOURS = {"done": "success", "refused": "danger", "undone": "warning"}


class StepInline(FactInline):
    model = SagaStep
    fields = ("name", "kind", "command", "state", "reply", "refusal", "updated_at")
    readonly_fields = ("state",)

    @display(description="state", label=STEP_COLOURS)
    def state(self, step: SagaStep) -> str:
        return step.logged or "not known yet"


class DecisionInline(FactInline):
    model = SagaDecision
    fields = ("at", "came", "status_before", "status_after", "sent", "detail")


@admin.register(SagaInstance)
class SagaAdmin(FactAdmin):
    list_display = ("id", "name", "version", "state", "subject", "why", "drives", "started_at", "ended_at")
    list_filter = ("status", "name", "version")
    search_fields = ("=id", "=subject")
    search_help_text = "saga id or order id"
    ordering = ("-started_at",)
    date_hierarchy = None
    inlines = (StepInline, DecisionInline)
    actions = ("ask_to_stop", "retry_parked")

    @display(description="status", label=COLOURS, ordering="status")
    def state(self, saga: SagaInstance) -> str:
        return str(saga.status)

    @display(description="why")
    def why(self, saga: SagaInstance) -> str:
        return str(saga.cause.get("code", ""))

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
    list_display = ("received_at", "task", "reason", "queue", "saga", "step", "fault", "consequence")
    list_filter = ("reason", "queue")
    search_fields = ("=saga", "task", "=task_id")
    ordering = ("-received_at",)


@admin.register(SagaClock)
class ClockAdmin(FactAdmin):
    list_display = ("now", "ticked_at")
