"""The list of sagas and each one's page: where it stands, its steps, what it decided, what operators did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import F, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.http import HttpRequest
from unfold.decorators import display

from celery_config.saga import measures
from celery_config.saga.admin.operator_pages import (
    DECIDED,
    DRIVEN,
    FLOW_FILTERS,
    OperatorPages,
    StatusFilter,
)
from celery_config.saga.admin.widgets import ACTED, STATUS
from celery_config.saga.causes import phrase_command
from celery_config.saga.dsl import Saga, StepKind
from celery_config.saga.engine import clock
from celery_config.saga.flow_facts import is_refusal
from celery_config.saga.models import OperatorAction, SagaDecision, SagaInstance, SagaStep
from celery_config.saga.operations.differences import LOGGED
from celery_config.saga.operations.history import tell_decision
from celery_config.saga.operations.wording import capitalize
from celery_config.saga.states import StepState
from celery_config.web.admin import ReadOnlyInline
from celery_config.web.columns import (
    EMPTY,
    format_time,
    id_column,
    make_anchor,
    make_label,
    make_link,
    table_column,
)
from celery_config.web.elsewhere import tasks_url
from celery_config.web.order_rows import link_effect

KIND_WORDS = {
    StepKind.COMPENSATABLE: "can be undone",
    StepKind.PIVOT: "point of no return",
    StepKind.RETRIABLE: "is repeated until it is done",
}
STEP_COLOURS = {"done": "success", "refused": "danger", "undone": "warning", LOGGED[StepState.UNDONE]: "info"}


def name_logged(step: SagaStep) -> str:
    """Return the word for what is known of a step by itself, whatever its saga does next."""
    if step.logged != StepState.UNDONE:
        return step.logged or "not known"
    if step.reply is not None:
        return step.logged
    return "refused" if is_refusal(step.refusal) else LOGGED[StepState.UNDONE]


class StepInline(ReadOnlyInline):
    classes = ("collapse",)
    model = SagaStep
    effects: ClassVar[Mapping[str, str]] = {}
    """What each command writes at its participant, by the command's wire name: one of `order_rows.EFFECTS`."""
    fields = (
        "phrase", "sort", "state",
        table_column("reply", currency="currency"), table_column("refusal"), table_column("failure"), "updated_at",
        "wrote",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[SagaStep]:
        """A reply may name an amount alone; its currency is the saga's, if it has one."""
        steps: QuerySet[SagaStep] = super().get_queryset(request)
        return steps.annotate(currency=KeyTextTransform("currency", "saga__data"), subject=F("saga__subject"))

    @display(description="step")
    def phrase(self, step: SagaStep) -> str:
        return phrase_command(step.command)

    @display(description="kind")
    def sort(self, step: SagaStep) -> str:
        return KIND_WORDS.get(StepKind(step.kind), step.kind)

    @display(description="state")
    def state(self, step: SagaStep) -> Any:
        return make_label(name_logged(step), STEP_COLOURS)

    @display(description="at its service")
    def wrote(self, step: Any) -> Any:
        word = self.effects.get(step.command)
        return link_effect(step.subject, word) if word and step.logged else EMPTY


class DecisionInline(ReadOnlyInline):
    classes = ("collapse",)
    model = SagaDecision
    fields = ("at", "said", "detail")

    @display(description="what it decided")
    def said(self, made: SagaDecision) -> str:
        return capitalize(tell_decision(made).text)


class OperatorInline(ReadOnlyInline):
    classes = ("collapse",)
    model = OperatorAction
    fields = ACTED


def name_flow(name: str, version: int) -> str:
    """Return a flow's name in words, with the version of its definition."""
    return f"{name.replace('-', ' ')}, version {version}"


class DefinitionFilter(admin.SimpleListFilter):
    """By the definitions that this code knows: no table is read to find them."""

    title = "flow"
    parameter_name = "definition"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(f"{name}@{version}", name_flow(name, version)) for name, version in sorted(Saga.registry)]

    def queryset(self, request: HttpRequest, sagas: QuerySet[SagaInstance]) -> QuerySet[SagaInstance]:
        name, _, version = (self.value() or "").partition("@")
        return sagas.filter(name=name, version=version) if version.isdecimal() else sagas


@admin.register(SagaInstance)
class SagaAdmin(OperatorPages):
    list_display = (
        id_column("id"),
        "flow_name",
        STATUS,
        id_column("subject", "about"),
        "why",
        "started_at",
    )
    list_filter = (StatusFilter, DefinitionFilter, *FLOW_FILTERS)
    search_ids = ("id", "subject")
    search_endings = ("id", "subject")
    search_help_text = "saga or order id or its end"
    is_jumped_to = True
    ordering = ("-started_at",)
    inlines = (StepInline, DecisionInline, OperatorInline)
    subject_views: ClassVar[Mapping[str, str]] = {}
    """The names of the admin pages of what sagas are about, by the sagas' names."""
    fieldsets = (
        (None, {"fields": ("definition", "about", "elsewhere", STATUS, "started_at", "ended_at")}),
        # Closed until asked for: an order of many lines would push the steps off the screen.
        ("More", {"classes": ("collapse",), "fields": (
            "id", table_column("cause"), *DRIVEN, "saga_time", *DECIDED, table_column("data"),
        )}),
    )  # fmt: skip

    @display(description="flow", ordering="name")
    def flow_name(self, saga: SagaInstance) -> str:
        """Without its version, by which the list is filtered: there is little room."""
        return saga.name.replace("-", " ")

    @display(description="flow")
    def definition(self, saga: SagaInstance) -> str:
        return name_flow(saga.name, saga.version)

    @display(description="about")
    def about(self, saga: SagaInstance) -> Any:
        view = self.subject_views.get(saga.name)
        return make_link(view, saga.subject, saga.subject) if view else saga.subject

    @display(description="its messages")
    def elsewhere(self, saga: SagaInstance) -> Any:
        url = tasks_url(saga.pk)
        return make_anchor(url, "tasks in Flower") if url else EMPTY

    @display(description="saga time now")
    def saga_time(self, saga: SagaInstance) -> str:
        """Saga time stops while a service is away. Compare the times above with this one."""
        # A page asks for the text of a field several times.
        known = vars(saga)
        if "saga_time" not in known:
            known["saga_time"] = "; ".join(
                filter(None, (format_time(clock.now()), measures.describe_standstill()))
            )
        return str(known["saga_time"])
