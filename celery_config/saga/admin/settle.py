"""Page on which an operator enters the outcome of an open call outside."""

from __future__ import annotations

from collections.abc import Mapping
from json import dumps
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from celery_config.contracts.base import Command
from celery_config.errors import OperatorRefused
from celery_config.messaging.states import Action, Undo
from celery_config.saga.admin.forms import SettleForm
from celery_config.saga.admin.widgets import build_evidence, confirm_and_act
from celery_config.saga.causes import phrase_command
from celery_config.saga.course import Answer, Course
from celery_config.saga.engine.flows import find_flow
from celery_config.saga.models import OperatorAction, WatchedRow
from celery_config.saga.operations import barrier_client, operators
from celery_config.saga.operations.acts import name_act, title_act
from celery_config.saga.operations.wording import describe_status

ABOUT = (
    "Only when the provider's support, or a person who saw the parcel, told you what became of a call that no one else"
    " can ask about. Its service writes your answer as if the provider had given it. Bring it to an end afterwards."
)
MEANING = {
    "do": "the call was made and went well, or was refused",
    "undo": "it was undone, or never was done",
}
REFUSED = {"code": "card_declined", "reason": "what the provider said"}
Examples = Mapping[str, Mapping[str, Any]]
"""What a provider answers, by the wire name of the command."""


def settle_page(
    admin: ModelAdmin[Any], request: HttpRequest, row: WatchedRow, back: str, examples: Examples
) -> HttpResponse:
    try:
        course = find_flow(type(row)).find_course(row)
    except OperatorRefused as refusal:
        admin.message_user(request, str(refusal), messages.ERROR)
        return redirect(back)
    answers = barrier_client.read_barriers(course.steps, row.pk)
    intents, commands = open_intents(course, answers), list_operations(course)
    choices = [
        (f"{step} {operation}", f"{phrase_command(commands[step, operation])}: {MEANING[operation]}")
        for step, operation in intents
    ]
    form = SettleForm(request.POST or None, choices, render_examples(course, intents, examples))

    def settle(*, by: str, why: str) -> OperatorAction:
        step, _, operation = form.cleaned_data["intent"].rpartition(" ")
        return operators.settle_by_hand(row, step, operation, form.cleaned_data["answer"], by=by, why=why)

    return confirm_and_act(
        admin, request, form, back, settle, title=title_act("settle by hand", row), about=ABOUT, original=row,
        button=name_act("settle by hand"), refused=explain_no_settlement(row.status, intents),
        **build_evidence(row, course, answers),
    )  # fmt: skip


def open_intents(course: Course, answers: Mapping[str, Answer]) -> list[tuple[str, str]]:
    """The steps whose participant holds an open intent, with the operation that is in doubt."""
    found = []
    for step in course.steps:
        held = (answers.get(step.command.service) or {}).get(step.name)
        if held and held.undo is Undo.INTENT:
            found.append((step.name, "undo"))
        elif held and held.action is Action.INTENT and held.undo is Undo.NONE:
            found.append((step.name, "do"))
    return found


def explain_no_settlement(status: str, intents: list[tuple[str, str]]) -> str:
    if status not in operators.IN_DOUBT:
        return operators.NOT_IN_DOUBT.format(describe_status(status))
    return "" if intents else "no service that answers has an open call: nothing is in doubt there"


def list_operations(course: Course) -> dict[tuple[str, str], type[Command]]:
    """The command of each step's action and of its undo."""
    commands: dict[tuple[str, str], type[Command]] = {(s.name, "do"): s.command for s in course.steps}
    return commands | {(s.name, "undo"): s.undo for s in course.steps if s.undo}


def render_examples(course: Course, intents: list[tuple[str, str]], examples: Examples) -> SafeString:
    """Show an example of the answer to each open call."""
    commands = list_operations(course)
    asked = [commands[intent] for intent in intents]
    known = [
        (phrase_command(each), dumps(examples[each.wire_name()]))
        for each in asked
        if each.wire_name() in examples
    ]
    known += [(f"{phrase_command(each)}, refused", dumps(REFUSED)) for each in asked if each.refused]
    if not known:
        return SafeString("what the provider would have answered, as a JSON object")
    listed = format_html_join(SafeString("<br>"), "{}: <code>{}</code>", known)
    return format_html("what the provider would have answered, for example<br>{}", listed)
