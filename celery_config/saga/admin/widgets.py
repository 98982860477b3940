"""Parts of the operators' pages: tables of effects and barriers, and the confirmation page. No act without a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db.models import Model
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from celery_config.common.moments import format_span
from celery_config.common.money import money
from celery_config.errors import OperatorRefused
from celery_config.http.service_client import ServiceCallError
from celery_config.saga.course import Answer, Course
from celery_config.saga.dsl import Step
from celery_config.saga.faults import list_steps
from celery_config.saga.flow_facts import is_past_pivot
from celery_config.saga.models import OperatorAction, SagaPause, WatchedRow
from celery_config.saga.operations.acts import (
    describe_effect,
    describe_target,
    foretell,
    name_act,
    name_step,
)
from celery_config.saga.operations.differences import Difference, describe_held, list_differences
from celery_config.saga.operations.effects import Effect, find_effects
from celery_config.saga.operations.flow_reader import read_flow
from celery_config.saga.operations.previews import Preview
from celery_config.saga.operations.strip import Cell, CellState, correct_state, draw_strip
from celery_config.saga.operations.wording import (
    STATUS_WORDS,
    describe_status,
    end_sentence,
)
from celery_config.web.board import make_table
from celery_config.web.columns import EMPTY, column, format_number, label_column, make_label

COLOURS = {
    "running": "info",
    "stopping": "warning",
    "forward": "info",
    "completed": "success",
    "compensated": "warning",
    "parked": "danger",
}
WORDS_OF_STATUSES = {status.value: words for status, words in STATUS_WORDS.items()}
STATUS = label_column("status", COLOURS, words=WORDS_OF_STATUSES)
LINK = '<a class="text-link" href="{}">{}</a>'
SILENT = "does not answer"
WORDS = {SILENT: "danger", "overdue": "danger", "expired": "danger", "in doubt": "warning", "held": "info"}
VERB = column("text", "verb", "act", lambda did: name_act(did.verb))
TARGET = column("text", "what", "on what", lambda did: describe_target(did.what) or EMPTY)
EFFECT = column("text", "effect", "effect", lambda did: describe_effect(did.effect))
BY = column("text", "by", "by", lambda did: f"{did.by}, asked by {did.asked_by}" if did.asked_by else did.by)
ACTED = ("at", VERB, TARGET, BY, "why", EFFECT)
"""What an operator did, on the pages of a flow."""


def render_confirmation(admin: ModelAdmin[Any], request: HttpRequest, **context: Any) -> HttpResponse:
    """Render the page that shows what would happen, asks for the reason, and has the button.

    Args:
        context: `title`; `form` and `button`, or why it is `refused`; `back`, where cancelling leads; perhaps
            `about`, `original`, `going` (what would be sent), `lasting` (what waits again while its cause lasts),
            `tables`, `warnings` and `hidden` fields; of many, `outcomes`, `first` if these are of the first ones
            alone, and `whole` if a batch takes all.
    """
    request.current_app = admin.admin_site.name  # type: ignore[attr-defined]
    if about := context.get("about"):
        context["about"] = end_sentence(about)
    whole = {**admin.admin_site.each_context(request), "opts": admin.opts, **context}
    return TemplateResponse(request, "saga/act.html", whole)


def confirm_and_act(
    admin: ModelAdmin[Any],
    request: HttpRequest,
    form: Form,
    back: str,
    act: Callable[..., OperatorAction],
    load_context: Callable[[], Mapping[str, Any]] = dict,
    after: str = "",
    **context: Any,
) -> HttpResponse:
    """Show the confirmation page; when it is sent with a reason, act, show the result, and return to `back`.

    Args:
        act: takes `by` and `why`.
        after: a sentence that the message ends with: where to watch what becomes of it.
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
        admin.message_user(request, describe_done(context["title"], done, after), messages.SUCCESS)
    return redirect(back)


def describe_going(preview: Preview) -> dict[str, Any]:
    """Return what a dialog says of what a verb would do, in the words of the message that follows."""
    return {
        "change": foretell(preview.before, preview.after, preview.sends),
        "branches": preview.branches,
        "is_flow": True,
    }


def describe_done(title: str, done: OperatorAction, after: str = "") -> str:
    """Return what was done, in the words of the dialog that asked for it.

    Args:
        title: of the dialog.
    """
    what = describe_target(done.what) if done.what else ""
    on = f": {what}" if what and what not in title else ""
    return f"{title}{on}: {end_sentence(describe_effect(done.effect))} {after}".strip()


def describe_pause(pause: SagaPause) -> str:
    """Return what a pause holds up."""
    if pause.saga:
        return f"no new “{pause.saga.replace('-', ' ')}”"
    return f"nothing new that has to {name_step(pause.step)}"


def make_status_label(status: str) -> SafeString:
    """Return a status in plain words and its colour."""
    return make_label(describe_status(status), {describe_status(each): COLOURS[each] for each in COLOURS})


def build_evidence(row: WatchedRow, course: Course, answers: Mapping[str, Answer]) -> dict[str, Any]:
    """Build the tables of live effects and of the barriers, for `render_confirmation`."""
    found, different = find_effects(course, answers), list_differences(course, answers)
    standings = [
        Standing(step, cell, answers.get(step.command.service), is_past=is_past_pivot(list_steps(course)))
        for step, cell in zip(course.steps, draw_strip(read_flow(row)), strict=True)
    ]
    counted = [
        count_words(len(found), "effect", "not undone or in doubt"),
        count_words(len(different), "difference", "from what we know"),
    ]
    return {
        "summary": f"What the services say: {' and '.join(counted)}",
        "as_of": f"{localtime(timezone.now()):%H:%M:%S %Z}",
        "warnings": [*filter(None, [course.fault]), *list_silent_services(answers)],
        "tables": [
            ("Not undone or in doubt", build_effects_table(found, standings)),
            ("Where a service says something else than we know", build_differences_table(different)),
        ],
    }


def count_words(count: int, noun: str, about: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'} {about}"


def count_rows(model: type[Model], count: int) -> str:
    """Return "1 saga" or "40 sagas"."""
    noun = model._meta.verbose_name if count == 1 else model._meta.verbose_name_plural
    return f"{format_number(count)} {noun}"


def list_silent_services(answers: Mapping[str, Answer]) -> list[str]:
    return [
        f"{service} {SILENT}: what it holds is shown as we heard of it last."
        for service, answer in answers.items()
        if answer is None
    ]


@dataclass(frozen=True)
class Standing:
    """Where a step stands, as far as we know, and what its service says of it."""

    step: Step
    cell: Cell
    answer: Answer
    is_past: bool

    @property
    def state(self) -> CellState:
        return correct_state(self.cell.state, self.step, self.answer, is_past=self.is_past)

    @property
    def is_cleared(self) -> bool:
        """Whether we thought of an effect, and its service says that there is none."""
        return self.cell.state in LIVE and self.state not in LIVE


LIVE = (CellState.HELD, CellState.IN_DOUBT)
NOTHING_THERE = "we had no word of it; its service says now: {}"


def build_effects_table(found: Iterable[Effect], standings: Sequence[Standing]) -> dict[str, Any]:
    """Each effect that is left or in doubt; and what we took for one, of which its service knows better."""
    effects = {effect.step: effect for effect in found}
    rows = [
        [
            keep_on_one_line(each.cell.label),
            each.cell.service,
            make_label(each.state, WORDS),
            format_amount(effect) if effect else EMPTY,
            format_deadline(effect.expires_at, "expired") if effect else EMPTY,
            effect.because if effect else NOTHING_THERE.format(describe_held((each.answer or {}).get(each.step.name))),
        ]
        for each in standings
        if (effect := effects.get(each.step.name)) or each.is_cleared
    ]  # fmt: skip
    headers = ["step", "service", "state", "amount", "expires", "because"]
    return make_table(headers, rows, "Nothing: no effect is left, none is in doubt.")


def format_amount(effect: Effect) -> Any:
    if effect.amount is None or not effect.currency:
        return EMPTY
    return format_html('<span class="amount">{}</span>', money(effect.amount, effect.currency))


def build_differences_table(different: Iterable[Difference]) -> dict[str, Any]:
    rows = [
        [keep_on_one_line(each.phrase), each.service, each.says, each.note or EMPTY, each.logged]
        for each in different
    ]
    return make_table(["step", "service", "it says", "note", "we know"], rows, "Nowhere: they agree.")


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
    away = f"{format_span(now - at)} ago" if past else f"in {format_span(at - now)}"
    label = make_label(when_past, WORDS) if past else ""
    shown = date_format(localtime(at), "DATETIME_FORMAT")
    return format_html('<span class="whole">{}</span> <small class="whole">{}</small> {}', shown, away, label)
