"""Parts of the operators' pages: tables of effects and barriers, and the confirmation page. No act without a reason."""

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
from celery_config.saga.operations.differences import Difference, list_differences
from celery_config.saga.operations.effects import Effect, find_effects
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


def render_confirmation(admin: ModelAdmin[Any], request: HttpRequest, **context: Any) -> HttpResponse:
    """Render the page that shows what would happen, asks for the reason, and has the button.

    Args:
        context: `title`; `form` and `button`, or why it is `refused`; `back`, where cancelling leads; perhaps
            `about`, `original`, `going` (what would be sent), `tables`, `warnings` and `hidden` fields.
    """
    request.current_app = admin.admin_site.name  # type: ignore[attr-defined]
    whole = {**admin.admin_site.each_context(request), "opts": admin.opts, **context}
    return TemplateResponse(request, "saga/act.html", whole)


def get_page_url(row: Model, view: str = "change") -> str:
    """Return the address of the row's admin page, or of another view of it."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{view}", args=[row.pk])


def confirm_and_act(
    admin: ModelAdmin[Any],
    request: HttpRequest,
    form: Form,
    back: str,
    act: Callable[..., OperatorAction],
    load_context: Callable[[], Mapping[str, Any]] = dict,
    describe: Callable[[OperatorAction], str] | None = None,
    **context: Any,
) -> HttpResponse:
    """Show the confirmation page; when it is sent with a reason, act, show the result, and return to `back`.

    Args:
        act: takes `by` and `why`.
        describe: says what was done, and where to watch it.
        load_context: returns more of the context; it is called only when the page is shown.
        context: as for `render_confirmation`.
    """
    try:
        if not form.is_valid():
            return render_confirmation(admin, request, form=form, back=back, **context, **load_context())
        done = act(by=request.user.get_username(), why=form.cleaned_data["why"])
    except (OperatorRefused, ServiceCallError) as error:
        admin.message_user(request, f"Nothing was changed: {error}", messages.ERROR)
    else:
        admin.message_user(request, (describe or describe_action)(done), messages.SUCCESS)
    return redirect(back)


def describe_action(done: OperatorAction) -> str:
    what = f" {done.what}" if done.what else ""
    return f"Done, {done.verb}{what}: {done.effect}"


def build_evidence(course: Course, answers: Mapping[str, Answer]) -> dict[str, Any]:
    """Build the tables of live effects and of the barriers, for `render_confirmation`."""
    found, different = find_effects(course, answers), list_differences(course, answers)
    counted = [
        count_words(len(found), "effect", "live or in doubt"),
        count_words(len(different), "difference", "from our log"),
    ]
    return {
        "summary": f"What the services say: {' and '.join(counted)}",
        "as_of": f"{localtime(timezone.now()):%H:%M:%S %Z}",
        "warnings": [*filter(None, [course.fault]), *list_silent_services(answers)],
        "tables": [
            ("Live or in doubt", build_effects_table(found), "Nothing: no effect is live, none is in doubt."),
            (
                "Where a service says something else than our log",
                different_table(different),
                "Nowhere: they agree.",
            ),
        ],
    }


def count_words(count: int, noun: str, about: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'} {about}"


def list_silent_services(answers: Mapping[str, Answer]) -> list[str]:
    return [
        f"{service} {SILENT}: what it holds is shown as the saga log knows it."
        for service, answer in answers.items()
        if answer is None
    ]


def build_effects_table(found: Iterable[Effect]) -> Table:
    rows = [
        [
            keep_on_one_line(effect.step),
            effect.holder,
            make_label("in doubt" if effect.doubtful else "live", WORDS),
            format_amount(effect),
            format_deadline(effect.expires_at, "expired"),
            effect.because,
        ]
        for effect in found
    ]
    return {"headers": ["step", "holder", "state", "amount", "expires", "because"], "rows": rows}


def format_amount(effect: Effect) -> Any:
    if effect.amount is None or not effect.currency:
        return EMPTY
    return format_html('<span class="amount">{}</span>', money(effect.amount, effect.currency))


def different_table(different: Iterable[Difference]) -> Table:
    rows = [
        [keep_on_one_line(each.phrase), each.service, each.says, each.note or EMPTY, each.logged]
        for each in different
    ]
    return {"headers": ["step", "service", "it says", "note", "our log says"], "rows": rows}


def keep_on_one_line(text: str) -> SafeString:
    """Keep text on one line; the browser would break a step's name at its hyphens."""
    return format_html('<span class="whole">{}</span>', text)


def break_words(text: str) -> SafeString:
    """Allow breaks anywhere: a fingerprint may be one long word."""
    return format_html('<span class="broken">{}</span>', text)


def format_deadline(at: datetime | None, when_past: str) -> Any:
    """Format a wall-clock time with its distance from now; a past time gets the label `when_past`."""
    if at is None:
        return EMPTY
    now = timezone.now()
    past = at <= now
    away = f"{timesince(at, now)} ago" if past else f"in {timeuntil(at, now)}"
    label = make_label(when_past, WORDS) if past else ""
    shown = date_format(localtime(at), "DATETIME_FORMAT")
    return format_html('<span class="whole">{}</span> <small class="whole">{}</small> {}', shown, away, label)
