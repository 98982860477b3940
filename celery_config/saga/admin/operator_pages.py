"""The verbs on the page of whatever may be parked, and in its list: each shows first what it would do, and asks why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action

from celery_config.errors import OperatorRefused
from celery_config.saga.admin.bulk_actions import each_page
from celery_config.saga.admin.forms import SeenForm, WhyForm
from celery_config.saga.admin.settle import settle_page
from celery_config.saga.admin.widgets import (
    COLOURS,
    act_page,
    carry_out,
    evidence,
    form_data,
    is_confirmed,
    moment,
    operator,
)
from celery_config.saga.engine import parking
from celery_config.saga.models import OperatorAction
from celery_config.saga.operations import barrier_client
from celery_config.saga.operations.effects import Course
from celery_config.saga.operations.previews import Preview
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
    """For the admin of what may be parked; who derives from it says what the verbs are and do."""

    actions = ("retry_each", "compensate_each")
    # Of rows that nobody edits Django keeps no history.
    actions_detail_hide_default = True
    change_form_outer_before_template = "saga/standing.html"
    page = ""
    """The name of the admin page of one row."""
    labels: ClassVar[Mapping[str, str]] = {}
    """What each verb does, in words."""
    fitting: ClassVar[Mapping[str, Sequence[str]]] = {}
    """The statuses that each verb fits."""
    answers: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """What a provider answers, by the wire name of the command: examples for who settles a call by hand."""

    def named(self, row: Any) -> str:
        """What it is called in titles."""
        raise NotImplementedError

    def course_of(self, row: Any) -> Course:
        """
        Raises:
            OperatorRefused: this code does not know what was to be done.
        """
        raise NotImplementedError

    def preview(self, row: Any, verb: str) -> Preview:
        raise NotImplementedError

    def perform(self, row: Any, verb: str, *, by: str, why: str) -> OperatorAction:
        raise NotImplementedError

    def own(self, row: Any, *, by: str, why: str) -> OperatorAction:
        raise NotImplementedError

    def settle(
        self, row: Any, step: str, operation: str, answer: dict[str, Any], *, by: str, why: str
    ) -> OperatorAction:
        raise NotImplementedError

    def has_act_permission(self, request: HttpRequest, _: Any = None) -> bool:
        """The verbs are for who may change sagas, though nobody edits one by hand."""
        return request.user.has_perm("saga.change_sagainstance")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[UnfoldAction]:
        """Only the verbs that fit the status."""
        row = self.get_object(request, object_id)
        names = {
            self.get_unfold_action(n).action_name for n, s in self.fitting.items() if row and row.status in s
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

    def standing(self, row: Any) -> dict[str, Any]:
        """What whoever decides must see at the top of the page (rule 25); asks the participants."""
        try:
            course = self.course_of(row)
        except OperatorRefused as refusal:
            return {"warnings": [str(refusal)]}
        return evidence(course, barrier_client.ask(course.steps, row.pk))

    @action(description="Retry", icon="refresh", permissions=["act"])
    def retry(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.verb_page(request, object_id, "retry")

    @action(description="Compensate", icon="undo", permissions=["act"])
    def compensate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.verb_page(request, object_id, "compensate")

    @action(description="Take over", icon="person_add", permissions=["act"], url_path="take-over")
    def take_over(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.unknown(request, object_id)
        back, form = reverse(self.page, args=[row.pk]), WhyForm(form_data(request))
        if is_confirmed(request, form):
            by, why = operator(request), form.cleaned_data["why"]
            return carry_out(self, request, back, lambda: self.own(row, by=by, why=why))
        return act_page(
            self, request, title=f"Take over {self.named(row)}", original=row, form=form, back=back, button="Take over",
            about=f"You become its owner, who decides about it, in the place of {row.owner}. Nothing is sent.",
            refused="" if row.status == Status.PARKED else parking.UNOWNED.format(row.status), **self.standing(row),
        )  # fmt: skip

    @action(description="Settle by hand", icon="edit_note", permissions=["act"], url_path="settle")
    def settle_by_hand(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.unknown(request, object_id)
        return settle_page(self, request, row, reverse(self.page, args=[row.pk]))

    def verb_page(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.unknown(request, object_id)
        back, form = (
            reverse(self.page, args=[row.pk]),
            SeenForm(form_data(request), initial={"seen": row.status}),
        )
        if is_confirmed(request, form):
            if form.cleaned_data["seen"] == row.status:
                by, why = operator(request), form.cleaned_data["why"]
                return carry_out(self, request, back, lambda: self.perform(row, name, by=by, why=why))
            moved = (
                f"Nothing was changed: it has become {row.status} meanwhile. This is what would happen now."
            )
            self.message_user(request, moved, messages.WARNING)
            form = SeenForm(initial={"seen": row.status, "why": form.cleaned_data["why"]})
        try:
            told, course = self.preview(row, name), self.course_of(row)
        except OperatorRefused as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
            return redirect(back)
        title = self.get_unfold_action(name).description
        return act_page(
            self,
            request,
            title=f"{title}: {self.named(row)}",
            about=self.labels[name],
            original=row,
            form=form,
            button=title,
            back=back,
            refused=told.refused,
            going={
                "before": make_label(told.before, COLOURS),
                "after": make_label(told.after, COLOURS),
                "sends": told.sends,
            },
            **evidence(course, told.barriers),
        )

    def unknown(self, request: HttpRequest, object_id: str) -> HttpResponse:
        answer: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return answer

    @admin.action(description="Retry…", permissions=["act"])
    def retry_each(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        return each_page(self, request, rows, "retry", "Retry")

    @admin.action(description="Compensate…", permissions=["act"])
    def compensate_each(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        return each_page(self, request, rows, "compensate", "Compensate")
