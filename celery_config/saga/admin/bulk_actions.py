"""One verb on many rows, with one reason: on those that are chosen in a list, or on all that wait for one cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from celery_config.common.grouping import group_by, join_some
from celery_config.common.money import money
from celery_config.errors import OperatorRefused
from celery_config.saga.admin.acted import get_acted_url
from celery_config.saga.admin.cause import VERB
from celery_config.saga.admin.forms import WhyForm
from celery_config.saga.admin.story import format_waiting
from celery_config.saga.admin.widgets import (
    LINK,
    break_words,
    count_rows,
    keep_on_one_line,
    make_status_label,
    render_confirmation,
)
from celery_config.saga.engine.flows import find_flow
from celery_config.saga.models import OperatorAction
from celery_config.saga.operations import approvals, bulk_previews, operators
from celery_config.saga.operations.acts import describe_effect, name_act, title_act
from celery_config.saga.operations.advice import advise
from celery_config.saga.operations.bulk_previews import Prospect
from celery_config.saga.operations.explanation import find_hindrance
from celery_config.saga.operations.flow_reader import read_flows
from celery_config.saga.operations.permissions import MAKES_BATCHES, list_needs
from celery_config.saga.operations.wording import capitalize, end_sentence
from celery_config.saga.states import OPEN, Status
from celery_config.web.board import make_table
from celery_config.web.columns import EMPTY, get_page_url

# A page's form may not have many more fields.
MOST_AT_ONCE = 500
SHOWN = 10
"""How many refused rows a message names."""
MOST_SHOWN = 50
"""Of the rows that are acted on, in the table of a page: their list has all."""
WHOLE = "whole"
WHOLE_TEXT = (
    "These are the first. A batch takes all: it asks the services about each, and you start it on its page."
)
REST_TEXT = "These are the first. Do the others after them."


def show_bulk_page(
    admin: ModelAdmin[Any],
    request: HttpRequest,
    rows: Sequence[Any],
    verb: str,
    *,
    back: str,
    left: bool,
    line: str = "",
) -> HttpResponse:
    """Show what the verb would do to these rows, and ask why; then act on each, and show what became of them.

    No participant is asked; one failure does not stop the others.

    Args:
        back: where cancelling leads, and where a page leads on which nothing was done.
        left: whether there are more of the kind than a page takes.
        line: the one cause of all; empty: each row has its own.
    """
    form = WhyForm(request.POST if "confirmed" in request.POST else None)
    if form.is_valid():
        return redirect(act_on_each(admin, request, rows, verb, form.cleaned_data["why"]) or back)
    prospects = bulk_previews.foresee(rows, verb)
    # Only the rows of a cause can be found again.
    may_make = request.user.has_perms(list_needs(MAKES_BATCHES, verb, of_letters=False))
    is_whole = left and VERB in request.GET and may_make
    more = f"There are more than {find_most()}. {WHOLE_TEXT if is_whole else REST_TEXT}"
    limit = approvals.explain_limit(verb, request.user.get_username())
    hidden = [("action", f"{verb}_each"), ("confirmed", "yes")]
    hidden += [(WHOLE, "yes")] if is_whole else [(ACTION_CHECKBOX_NAME, str(row.pk)) for row in rows]
    return render_confirmation(
        admin,
        request,
        title=title_act(verb, f"{'more than ' if is_whole else ''}{count_rows(admin.model, len(rows))}"),
        about=find_flow(admin.model).verbs[verb].label,
        warnings=[*([more] if left else []), *filter(None, [end_sentence(capitalize(limit))])],
        first=len(rows) if left else 0,
        whole=is_whole,
        outcomes=bulk_previews.count_outcomes(prospects),
        mend=advise(line) if line else advise_each(rows),
        lasting=bulk_previews.describe_lasting(rows),
        form=form,
        button="Check all of them" if is_whole else name_act(verb),
        back=back,
        tables=[(name_table(len(rows)), build_table(admin, prospects[:MOST_SHOWN]))],
        hidden=hidden,
    )


def advise_each(rows: Sequence[Any]) -> str:
    """Say what is to be mended for what keeps these rows from their end."""
    lines = {row.fingerprint for row in rows}
    open_rows = [row for row in rows if row.status in OPEN]
    lines |= {find_hindrance(facts) for facts in read_flows(open_rows, money=False).values()}
    return " ".join(sorted({*map(advise, lines)} - {""}))


def take_first(rows: QuerySet[Any]) -> tuple[list[Any], bool]:
    """Return as many rows as may be acted on at once, and whether there are more."""
    most = find_most()
    found = list(rows[: most + 1])
    return found[:most], len(found) > most


def find_most() -> int:
    """Return how many rows a page takes: of more than `FOUR_EYES` allows one person, a batch is asked for."""
    return min(MOST_AT_ONCE, settings.FOUR_EYES_ABOVE) if settings.FOUR_EYES else MOST_AT_ONCE


def name_table(count: int) -> str:
    return "One by one" if count <= MOST_SHOWN else f"One by one, the first {MOST_SHOWN} of {count}"


def build_table(admin: ModelAdmin[Any], prospects: Sequence[Prospect]) -> dict[str, Any]:
    facts = read_flows([each.row for each in prospects if not has_line(each.row)])
    shown = [
        [
            format_html(LINK, get_page_url(each.row), keep_on_one_line(str(each.row))),
            make_status_label(each.row.status),
            break_words(each.row.fingerprint) if has_line(each.row) else format_waiting(facts[each.row.pk]),
            describe_money(each),
            each.becomes,
        ]
        for each in prospects
    ]
    headers = [str(admin.opts.verbose_name), "status", "why it waits", "money", "would be"]
    return make_table(headers, shown)


def has_line(row: Any) -> bool:
    """Whether the row itself says why it waits."""
    return bool(row.status == Status.PARKED and row.fingerprint)


def describe_money(prospect: Prospect) -> SafeString | str:
    held = prospect.money
    return keep_on_one_line(f"{money(held.amount, held.currency)} {held.state}") if held else EMPTY


def act_on_each(
    admin: ModelAdmin[Any], request: HttpRequest, rows: Iterable[Any], verb: str, why: str
) -> str:
    """Perform the verb on each row, say what was sent, and return where to watch it; empty: nothing was sent."""
    done: list[OperatorAction] = []
    refused: list[tuple[str, str]] = []
    for row in rows:
        try:
            done.append(operators.perform(row, verb, by=request.user.get_username(), why=why))
        except OperatorRefused as refusal:
            refused.append((str(row), str(refusal)))
    if refused:
        some = group_by(lambda each: each[1], refused)
        lines = [
            (count_rows(admin.model, len(each)), reason, join_some([name for name, _ in each], SHOWN))
            for reason, each in some.items()
        ]
        text = format_html_join(SafeString("<br>"), "Nothing was changed of {}: {} ({})", lines)
        admin.message_user(request, text, messages.ERROR)
    if not done:
        return ""
    effects = Counter(describe_effect(each.effect) for each in done)
    told = [(title_act(verb, count_rows(admin.model, n)), effect) for effect, n in effects.most_common()]
    admin.message_user(request, format_html_join(SafeString("<br>"), "{}: {}", told), messages.SUCCESS)
    return get_acted_url(admin.model, f"{done[0].pk}-{done[-1].pk}")
