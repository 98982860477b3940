"""One verb on many rows, with one reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from celery_config.errors import OperatorRefused
from celery_config.saga.admin.forms import WhyForm
from celery_config.saga.admin.widgets import (
    LINK,
    break_words,
    get_page_url,
    keep_on_one_line,
    make_status_label,
    render_confirmation,
)
from celery_config.saga.engine.flows import find_flow
from celery_config.saga.operations import operators
from celery_config.saga.operations.wording import describe_effect
from celery_config.web.board import make_table

# A page's form may not have many more fields.
MOST_AT_ONCE = 500


def each_page(
    admin: ModelAdmin[Any], request: HttpRequest, chosen: QuerySet[Any], verb: str, title: str
) -> HttpResponse | None:
    """Ask for the reason, then act on each row. No participant is asked; one failure does not stop the others."""
    rows = list(chosen[: MOST_AT_ONCE + 1])
    if len(rows) > MOST_AT_ONCE:
        admin.message_user(request, f"choose at most {MOST_AT_ONCE} at once", messages.ERROR)
        return None
    form = WhyForm(request.POST if "confirmed" in request.POST else None)
    if form.is_valid():
        do_each(admin, request, rows, verb, form.cleaned_data["why"])
        return None
    hidden = [("action", f"{verb}_each"), ("confirmed", "yes")]
    hidden += [(ACTION_CHECKBOX_NAME, str(row.pk)) for row in rows]
    meta = admin.opts
    return render_confirmation(
        admin,
        request,
        title=f"{title} {len(rows)} {meta.verbose_name_plural if len(rows) > 1 else meta.verbose_name}",
        about=find_flow(admin.model).verbs[verb].label,
        form=form,
        button=title,
        back=request.get_full_path(),
        tables=[("Chosen", build_table(admin, rows, verb))],
        hidden=hidden,
    )


def build_table(admin: ModelAdmin[Any], rows: Iterable[Any], verb: str) -> dict[str, Any]:
    fitting = find_flow(admin.model).verbs[verb].triggers
    shown = [
        [
            format_html(LINK, get_page_url(row), keep_on_one_line(str(row))),
            make_status_label(row.status),
            break_words(row.fingerprint),
            "yes" if row.status in fitting else "no, it will be refused",
        ]
        for row in rows
    ]
    return make_table([str(admin.opts.verbose_name), "status", "why it waits", "does it fit?"], shown)


def do_each(admin: ModelAdmin[Any], request: HttpRequest, rows: Iterable[Any], verb: str, why: str) -> None:
    """Perform the verb on each row; show the results."""
    done, refused = [], []
    for row in rows:
        try:
            effect = operators.perform(row, verb, by=request.user.get_username(), why=why).effect
        except OperatorRefused as refusal:
            refused.append((str(row.pk), str(refusal)))
        else:
            done.append((str(row.pk), describe_effect(effect)))
    for results, level in ((done, messages.SUCCESS), (refused, messages.ERROR)):
        if results:
            admin.message_user(request, format_html_join(SafeString("<br>"), "{}: {}", results), level)
