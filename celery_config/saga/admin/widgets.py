"""What the operators' pages show: tables for unfold's table component, and the page that asks before it acts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db.models import Model
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil
from django.utils.timezone import localtime

from celery_config.common.money import money
from celery_config.errors import OperatorRefused
from celery_config.http.service_client import ServiceCallError
from celery_config.saga.course import Answer, Course
from celery_config.saga.models import OperatorAction
from celery_config.saga.operations.effects import Effect, effects
from celery_config.web.columns import EMPTY, make_label

COLOURS = {
    "running": "info",
    "stopping": "warning",
    "forward": "info",
    "completed": "success",
    "compensated": "warning",
    "parked": "danger",
}
LINK = '<a class="text-link" href="{}">{}</a>'
SILENT = "does not answer"
WORDS = {SILENT: "danger", "overdue": "danger", "expired": "danger", "in doubt": "warning", "live": "danger"}
Table = dict[str, Any]


def act_page(admin: ModelAdmin[Any], request: HttpRequest, **context: Any) -> HttpResponse:
    """The page that shows what would happen, asks why, and has the button that does it.

    Args:
        context: `title`; `form` and `button`, or why it is `refused`; `back`, where cancelling leads; perhaps
            `about`, `original`, `going` (what would be sent), `tables`, `warnings` and `hidden` fields.
    """
    request.current_app = admin.admin_site.name  # type: ignore[attr-defined]
    whole = {**admin.admin_site.each_context(request), "opts": admin.opts, **context}
    return TemplateResponse(request, "saga/act.html", whole)


def page_of(row: Model) -> str:
    """The address of the row's admin page."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def form_data(request: HttpRequest) -> Any:
    """What a form is given: nothing but a POST ever fills one."""
    return request.POST if request.method == "POST" else None


def operator(request: HttpRequest) -> str:
    return request.user.get_username()


def ask_and_act(
    admin: ModelAdmin[Any],
    request: HttpRequest,
    form: Form,
    back: str,
    act: Callable[..., OperatorAction],
    look: Callable[[], Mapping[str, Any]] = dict,
    **context: Any,
) -> HttpResponse:
    """Show the page that asks why; once it is answered, act, say how it went, and return to `back`.

    Args:
        act: takes `by` and `why`.
        look: returns more of the context; it is called only when the page is shown.
        context: as for `act_page`.
    """
    try:
        if not form.is_valid():
            return act_page(admin, request, form=form, back=back, **context, **look())
        done = act(by=operator(request), why=form.cleaned_data["why"])
    except (OperatorRefused, ServiceCallError) as error:
        admin.message_user(request, f"Nothing was changed: {error}", messages.ERROR)
    else:
        what = f" {done.what}" if done.what else ""
        admin.message_user(request, f"Done, {done.verb}{what}: {done.effect}", messages.SUCCESS)
    return redirect(back)


def evidence(course: Course, answers: Mapping[str, Answer]) -> dict[str, Any]:
    """What is live and what each participant says, for `act_page`."""
    found = effects(course, answers)
    return {
        "warnings": silent(answers),
        "tables": [
            ("Live or in doubt", effects_table(found), "Nothing: no effect is live, none is in doubt."),
            ("What the participants say now", barrier_table(course, answers), ""),
        ],
    }


def silent(answers: Mapping[str, Answer]) -> list[str]:
    return [
        f"{service} {SILENT}: what it holds is shown as the saga log knows it."
        for service, answer in answers.items()
        if answer is None
    ]


def effects_table(found: Iterable[Effect]) -> Table:
    rows = [
        [
            no_wrap(effect.step),
            effect.holder,
            make_label("in doubt" if effect.doubtful else "live", WORDS),
            amount_of(effect),
            moment(effect.expires_at, "expired"),
            effect.because,
        ]
        for effect in found
    ]
    return {"headers": ["step", "holder", "state", "amount", "expires", "because"], "rows": rows}


def amount_of(effect: Effect) -> Any:
    if effect.amount is None or not effect.currency:
        return EMPTY
    return format_html('<span class="amount">{}</span>', money(effect.amount, effect.currency))


def barrier_table(course: Course, answers: Mapping[str, Answer]) -> Table:
    rows = []
    for step in course.steps:
        answer = answers.get(step.command.service)
        held = answer.get(step.name) if answer is not None else None
        says = make_label(SILENT, WORDS) if answer is None else str(held or "nothing came here")
        note = held.note if held and held.note else EMPTY
        known = course.log.get(step.name)
        logged = str(known.logged) if known and known.logged else "not known"
        rows.append([no_wrap(step.name), str(step.kind), step.command.service, says, note, logged])
    return {"headers": ["step", "kind", "participant", "its barrier", "note", "saga log"], "rows": rows}


def no_wrap(text: str) -> SafeString:
    """On one line: a step's name else breaks at its hyphens."""
    return format_html('<span class="whole">{}</span>', text)


def break_words(text: str) -> SafeString:
    """Wherever it must, so that it stays within its cell: what parked a saga may be one long word."""
    return format_html('<span class="broken">{}</span>', text)


def moment(at: datetime | None, when_past: str) -> Any:
    """A time on the wall, and how long it is until then; `when_past` labels what is over."""
    if at is None:
        return EMPTY
    now = timezone.now()
    past = at <= now
    away = f"{timesince(at, now)} ago" if past else f"in {timeuntil(at, now)}"
    label = make_label(when_past, WORDS) if past else ""
    shown = date_format(localtime(at), "DATETIME_FORMAT")
    return format_html('<span class="whole">{} <small>{}</small> {}</span>', shown, away, label)
