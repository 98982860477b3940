"""Operator pages: the verbs on the page of a flow, and in its list. Each shows first what it would do, and asks why."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action

from celery_config.errors import OperatorRefused
from celery_config.saga.admin.bulk_actions import each_page
from celery_config.saga.admin.forms import SeenForm, WhyForm
from celery_config.saga.admin.settle import settle_page
from celery_config.saga.admin.widgets import COLOURS, ask_and_act, evidence, form_data, moment, page_of
from celery_config.saga.engine import parking
from celery_config.saga.engine.flows import WatchedFlow, find_flow
from celery_config.saga.models import WatchedRow
from celery_config.saga.operations import barrier_client, operators, previews
from celery_config.saga.states import Status
from celery_config.web.admin import ReadOnlyAdmin
from celery_config.web.columns import make_label

DECIDED_ABOUT = (Status.PARKED, Status.STOPPING)


class FingerprintFilter(admin.SimpleListFilter):
    """By what parked it. Only what is parked has that, and only that is read, by the index of what has not ended."""

    title = "what parked it"
    parameter_name = "fingerprint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        parked = model_admin.model.objects.filter(status=Status.PARKED).order_by()
        counted = parked.values_list("fingerprint").annotate(count=Count("pk"))
        return [(fingerprint, f"{fingerprint} ({count})") for fingerprint, count in sorted(counted)]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        wanted = self.value()
        return rows.filter(status=Status.PARKED, fingerprint=wanted) if wanted else rows


class OperatorPages(ReadOnlyAdmin):
    """The admin of the rows of a watched flow."""

    actions = ("retry_each", "compensate_each")
    # Django keeps no history of rows that are not edited.
    actions_detail_hide_default = True
    change_form_outer_before_template = "saga/standing.html"
    answers: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Examples of what a provider answers, by the wire name of the command, for calls that are settled by hand."""

    @property
    def flow(self) -> WatchedFlow[Any, Any]:
        return find_flow(self.model)

    @property
    def actions_detail(self) -> tuple[str, ...]:
        return (*self.flow.verbs, "take_over", "settle_by_hand")

    def fits(self, action_name: str, row: WatchedRow) -> bool:
        """Whether an action fits the status of the row."""
        if verb := self.flow.verbs.get(action_name):
            return row.status in verb.triggers
        return row.status in ((Status.PARKED,) if action_name == "take_over" else operators.IN_DOUBT)

    def has_act_permission(self, request: HttpRequest, _: Any = None) -> bool:
        """The verbs are for who may change sagas, though nobody edits one by hand."""
        return request.user.has_perm("saga.change_sagainstance")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[UnfoldAction]:
        """Only the verbs that fit the status."""
        row = self.get_object(request, object_id)
        names = {
            self.get_unfold_action(name).action_name
            for name in self.actions_detail
            if row and self.fits(name, row)
        }
        offered = super().get_actions_detail(request, object_id)
        return [verb for verb in offered if verb.action_name in names]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        """Participants are asked only about what somebody may have to decide about."""
        if obj and obj.status in DECIDED_ABOUT:
            context |= {"standing": self.standing(obj), "answer_by": moment(obj.answer_by, "overdue")}
        answer: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return answer

    def standing(self, row: WatchedRow) -> dict[str, Any]:
        """Ask the participants, and return what the owner must see at the top of the page (rule 25, parked)."""
        try:
            course = self.flow.find_course(row)
        except OperatorRefused as refusal:
            return {"warnings": [str(refusal)]}
        return evidence(course, barrier_client.ask(course.steps, row.pk))

    @action(description="Retry", icon="refresh", permissions=["act"])
    def retry(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.verb_page(request, object_id, "retry")

    @action(description="Compensate", icon="undo", permissions=["act"])
    def compensate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.verb_page(request, object_id, "compensate")

    @action(description="Resume forward", icon="fast_forward", permissions=["act"])
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.verb_page(request, object_id, "resume")

    @action(description="Take over", icon="person_add", permissions=["act"], url_path="take-over")
    def take_over(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.unknown(request, object_id)
        return ask_and_act(
            self, request, WhyForm(form_data(request)), page_of(row), partial(operators.take_over, row),
            partial(self.standing, row), title=f"Take over {row.title}", original=row, button="Take over",
            about=f"You become its owner, who decides about it, in the place of {row.owner}. Nothing is sent.",
            refused="" if row.status == Status.PARKED else parking.UNOWNED.format(row.status),
        )  # fmt: skip

    @action(description="Settle by hand", icon="edit_note", permissions=["act"], url_path="settle")
    def settle_by_hand(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.unknown(request, object_id)
        return settle_page(self, request, row, page_of(row), self.answers)

    def verb_page(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.unknown(request, object_id)
        form = SeenForm(form_data(request), initial={"seen": row.status})
        if form.is_valid() and form.cleaned_data["seen"] != row.status:
            moved = (
                f"Nothing was changed: it has become {row.status} meanwhile. This is what would happen now."
            )
            self.message_user(request, moved, messages.WARNING)
            form = SeenForm(initial={"seen": row.status, "why": form.cleaned_data["why"]})
        title = self.get_unfold_action(name).description
        return ask_and_act(
            self, request, form, page_of(row), partial(operators.perform, row, name),
            partial(self.preview, row, name), title=f"{title}: {row.title}", original=row, button=title,
            about=self.flow.verbs[name].label,
        )  # fmt: skip

    def preview(self, row: WatchedRow, verb: str) -> dict[str, Any]:
        """What the verb would do, and what its operator must see before."""
        preview = previews.preview(row, verb)
        going = {
            "before": make_label(preview.before, COLOURS),
            "after": make_label(preview.after, COLOURS),
            "sends": preview.sends,
        }
        shown = evidence(self.flow.find_course(row), preview.barriers)
        return {"refused": preview.refused, "going": going, **shown}

    def unknown(self, request: HttpRequest, object_id: str) -> HttpResponse:
        answer: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return answer

    @admin.action(description="Retry…", permissions=["act"])
    def retry_each(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        return each_page(self, request, rows, "retry", "Retry")

    @admin.action(description="Compensate…", permissions=["act"])
    def compensate_each(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        return each_page(self, request, rows, "compensate", "Compensate")
