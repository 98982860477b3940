"""The verbs on the saga's page and in its list: each shows first what it would do, and asks why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action

from celery_config.api.admin import FactAdmin
from celery_config.api.display import labelled
from celery_config.errors import OperatorRefused
from celery_config.saga import barriers, operators, selectors, verbs
from celery_config.saga.admin.bulk import each_page
from celery_config.saga.admin.forms import SeenForm, WhyForm
from celery_config.saga.admin.settle import settle_page
from celery_config.saga.admin.shown import (
    COLOURS,
    SAGA_PAGE,
    act_page,
    carry_out,
    evidence,
    is_confirmed,
    operator,
    posted,
)
from celery_config.saga.machine import Status
from celery_config.saga.models import SagaInstance

FITTING: dict[str, Sequence[Status]] = {
    **{name: tuple(verb.inputs) for name, verb in verbs.VERBS.items()},
    "take_over": (Status.PARKED,),
    "settle_by_hand": operators.IN_DOUBT,
}


class OperatorVerbs(FactAdmin):
    """For the admin of sagas."""

    actions = ("retry_each", "compensate_each")
    actions_detail = tuple(FITTING)
    # Of rows that nobody edits Django keeps no history.
    actions_detail_hide_default = True
    answers: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """What a provider answers, by step and operation: examples for who settles a call by hand."""

    def has_act_permission(self, request: HttpRequest, _: Any = None) -> bool:
        """The verbs are for who may change sagas, though nobody edits one by hand."""
        return request.user.has_perm("saga.change_sagainstance")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[UnfoldAction]:
        """Only the verbs that fit the saga's status."""
        row = self.get_object(request, object_id)
        fitting = {
            self.get_unfold_action(n).action_name for n, s in FITTING.items() if row and row.status in s
        }
        offered = super().get_actions_detail(request, object_id)
        return [verb for verb in offered if verb.action_name in fitting]

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
        back, form = reverse(SAGA_PAGE, args=[row.pk]), WhyForm(posted(request))
        if is_confirmed(request, form):
            why = form.cleaned_data["why"]
            return carry_out(
                self, request, back, lambda: operators.take_over(row.pk, by=operator(request), why=why)
            )
        return act_page(
            self, request, title=f"Take over {row.name}", original=row, form=form, back=back, button="Take over",
            about=f"You become its owner, who decides about it, in the place of {row.owner}. Nothing is sent.",
            refused="" if row.status == Status.PARKED else f"only a parked saga has an owner; this one is {row.status}",
            **standing(row),
        )  # fmt: skip

    @action(description="Settle by hand", icon="edit_note", permissions=["act"], url_path="settle")
    def settle_by_hand(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.unknown(request, object_id)
        return settle_page(self, request, row, reverse(SAGA_PAGE, args=[row.pk]))

    def verb_page(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.unknown(request, object_id)
        verb, back = verbs.VERBS[name], reverse(SAGA_PAGE, args=[row.pk])
        form = SeenForm(posted(request), initial={"seen": row.status})
        if is_confirmed(request, form):
            if form.cleaned_data["seen"] == row.status:
                by, why = operator(request), form.cleaned_data["why"]
                return carry_out(self, request, back, lambda: operators.perform(row.pk, name, by=by, why=why))
            moved = (
                f"Nothing was changed: it has become {row.status} meanwhile. This is what would happen now."
            )
            self.message_user(request, moved, messages.WARNING)
            form = SeenForm(initial={"seen": row.status, "why": form.cleaned_data["why"]})
        try:
            told, saga = verbs.preview(row.pk, name), selectors.definition(row)
        except OperatorRefused as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
            return redirect(back)
        title = self.get_unfold_action(name).description
        return act_page(
            self,
            request,
            title=f"{title}: {row.name}",
            about=verb.label,
            original=row,
            form=form,
            button=title,
            back=back,
            refused=told.refused,
            going={
                "before": labelled(told.before, COLOURS),
                "after": labelled(told.after, COLOURS),
                "sends": told.sends,
            },
            **evidence(saga, row, told.barriers, told.effects),
        )

    def unknown(self, request: HttpRequest, object_id: str) -> HttpResponse:
        answer: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return answer

    @admin.action(description="Retry…", permissions=["act"])
    def retry_each(self, request: HttpRequest, sagas: QuerySet[SagaInstance]) -> HttpResponse | None:
        return each_page(self, request, sagas, "retry", "Retry", FITTING["retry"])

    @admin.action(description="Compensate…", permissions=["act"])
    def compensate_each(self, request: HttpRequest, sagas: QuerySet[SagaInstance]) -> HttpResponse | None:
        return each_page(self, request, sagas, "compensate", "Compensate", FITTING["compensate"])


def standing(row: SagaInstance) -> dict[str, Any]:
    """What whoever decides about a saga must see at the top of its page (rule 25); asks its participants."""
    try:
        saga = selectors.definition(row)
    except OperatorRefused as refusal:
        return {"warnings": [str(refusal)]}
    answers = barriers.ask(saga, row.pk)
    return evidence(saga, row, answers, selectors.live_effects(saga, row, answers))
