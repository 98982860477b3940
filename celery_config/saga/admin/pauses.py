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
from celery_config.saga.admin.permissions import permit
from celery_config.saga.admin.widgets import confirm_and_act, describe_pause
from celery_config.saga.dsl import Saga
from celery_config.saga.models import OperatorAction, SagaPause
from celery_config.saga.operations import pauses
from celery_config.saga.operations.acts import name_act, name_step, title_act
from celery_config.saga.operations.wording import capitalize
from celery_config.web.admin import ReadOnlyAdmin
from celery_config.web.columns import column, format_time, make_link

HELD_UP = column("text", "pk", "held up", describe_pause)
LIST = "admin:saga_sagapause_changelist"
END_PAUSE = column(
    "action",
    "pk",
    " ",
    lambda row: make_link("admin:saga_sagapause_resume", row.pk, f"{name_act('unpause')}…"),
)


@admin.register(SagaPause)
class PauseAdmin(ReadOnlyAdmin):
    has_pause_permission, has_resume_permission = permit("pause"), permit("unpause")
    list_display: Any = (HELD_UP, "since", "by", "why")
    ordering = ("id",)
    fields = (HELD_UP, "since", "by", "why")
    actions_list = ("pause",)
    actions_detail = ("resume",)
    nothing_yet = "New sagas of every kind start."

    def get_list_display(self, request: HttpRequest) -> Any:
        more = (END_PAUSE,) if self.has_resume_permission(request) else ()
        return (*self.list_display, *more)

    @action(
        description=f"{name_act('pause')}…", icon="pause", permissions=["pause"], variant=ActionVariant.DANGER
    )
    def pause(self, request: HttpRequest) -> HttpResponse:
        form = PauseForm(request.POST or None, list_pausable())

        def pause(*, by: str, why: str) -> OperatorAction:
            kind, _, name = form.cleaned_data["what"].partition(" ")
            return pauses.pause(**{kind: name}, by=by, why=why)

        about = (
            "No new saga of this name, or with this step, starts: a request for one gets 503 with your reason."
            " Running ones go on."
        )
        return confirm_and_act(
            self,
            request,
            form,
            reverse(LIST),
            pause,
            title=f"{name_act('pause')} new sagas",
            about=about,
            button=name_act("pause"),
        )

    @action(description=f"{name_act('unpause')}…", icon="play_arrow", permissions=["resume"])
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        pause = self.get_object(request, object_id)
        if pause is None:
            return self.redirect_to_list(request, object_id)
        about = f"{capitalize(describe_pause(pause))}, since {format_time(pause.since)}, by {pause.by}: {pause.why}."
        return confirm_and_act(
            self, request, WhyForm(request.POST or None), reverse(LIST),
            partial(pauses.unpause, saga=pause.saga, step=pause.step),
            title=title_act("unpause", describe_pause(pause)), about=about, original=pause, button=name_act("unpause"),
        )  # fmt: skip


def list_pausable() -> Choices:
    """List every name and step of the definitions that this code knows."""
    known = Saga.registry.values()
    names = sorted({saga.name for saga in known})
    steps = sorted({step.name for saga in known for step in saga.steps})
    return [
        ("whatever is called", [(f"saga {name}", name.replace("-", " ")) for name in names]),
        ("whatever has to", [(f"step {name}", name_step(name)) for name in steps]),
    ]
