"""Pauses of new sagas: made and ended on pages that ask why; nothing else deletes one."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from unfold.decorators import action
from unfold.enums import ActionVariant

from celery_config.saga.admin.forms import Choices, PauseForm, WhyForm
from celery_config.saga.admin.widgets import ask_and_act, form_data
from celery_config.saga.dsl import Saga
from celery_config.saga.models import OperatorAction, SagaPause
from celery_config.saga.operations import pauses
from celery_config.web.admin import ReadOnlyAdmin
from celery_config.web.columns import column, make_link

LIST = "admin:saga_sagapause_changelist"
RESUME = column("action", "pk", " ", lambda row: make_link("admin:saga_sagapause_resume", row.pk, "Resume…"))


@admin.register(SagaPause)
class PauseAdmin(ReadOnlyAdmin):
    list_display: Any = ("__str__", "since", "by", "why")
    ordering = ("id",)
    fields = ("saga", "step", "since", "by", "why")
    actions_list = ("pause",)
    actions_detail = ("resume",)
    nothing_yet = "New sagas of every kind start."

    def has_act_permission(self, request: HttpRequest, _: Any = None) -> bool:
        return request.user.has_perm("saga.change_sagainstance")

    def get_list_display(self, request: HttpRequest) -> Any:
        more = (RESUME,) if self.has_act_permission(request) else ()
        return (*self.list_display, *more)

    @action(description="Pause…", icon="pause", permissions=["act"], variant=ActionVariant.DANGER)
    def pause(self, request: HttpRequest) -> HttpResponse:
        form = PauseForm(form_data(request), what_can_be_paused())

        def pause(*, by: str, why: str) -> OperatorAction:
            kind, _, name = form.cleaned_data["what"].partition(" ")
            return pauses.pause(**{kind: name}, by=by, why=why)

        about = (
            "No new saga of this name, or with this step, starts: who asks for one is told 503 and your reason."
            " Running ones go on."
        )
        return ask_and_act(
            self, request, form, reverse(LIST), pause, title="Pause new sagas", about=about, button="Pause"
        )

    @action(description="Resume…", icon="play_arrow", permissions=["act"])
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        pause = self.get_object(request, object_id)
        if pause is None:
            answer: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return answer
        about = f"{pause}, since {pause.since:%Y-%m-%d %H:%M} UTC, by {pause.by}: {pause.why}. New ones start again."
        return ask_and_act(
            self, request, WhyForm(form_data(request)), reverse(LIST),
            partial(pauses.unpause, saga=pause.saga, step=pause.step),
            title="Resume: let new sagas start", about=about, original=pause, button="Resume",
        )  # fmt: skip


def what_can_be_paused() -> Choices:
    """Every name and every step of the definitions that this code knows."""
    known = Saga.registry.values()
    names = sorted({saga.name for saga in known})
    steps = sorted({step.name for saga in known for step in saga.steps})
    return [
        ("sagas of a name", [(f"saga {name}", name) for name in names]),
        ("sagas with a step", [(f"step {name}", name) for name in steps]),
    ]
