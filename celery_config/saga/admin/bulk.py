"""A verb for many sagas at once, with one why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from celery_config.api.display import labelled, link
from celery_config.errors import OperatorRefused
from celery_config.saga import operators, verbs
from celery_config.saga.admin.forms import WhyForm
from celery_config.saga.admin.shown import COLOURS, SAGA_PAGE, Table, act_page, broken, operator, whole
from celery_config.saga.machine import Status
from celery_config.saga.models import SagaInstance

# A page's form may not have many more fields.
MOST_AT_ONCE = 500


def each_page(
    admin: ModelAdmin[Any],
    request: HttpRequest,
    sagas: QuerySet[SagaInstance],
    verb: str,
    title: str,
    fitting: Sequence[Status],
) -> HttpResponse | None:
    """Ask why, then do it to each of them; the participants are not asked, nor is one saga held up by another."""
    rows = list(sagas[: MOST_AT_ONCE + 1])
    if len(rows) > MOST_AT_ONCE:
        admin.message_user(request, f"choose at most {MOST_AT_ONCE} sagas at once", messages.ERROR)
        return None
    form = WhyForm(request.POST if "confirmed" in request.POST else None)
    if form.is_valid():
        do_each(admin, request, [row.pk for row in rows], verb, form.cleaned_data["why"])
        return None
    hidden = [("action", f"{verb}_each"), ("confirmed", "yes")]
    hidden += [(ACTION_CHECKBOX_NAME, str(row.pk)) for row in rows]
    return act_page(
        admin,
        request,
        title=f"{title} {len(rows)} saga{'s' if len(rows) > 1 else ''}",
        about=verbs.VERBS[verb].label,
        form=form,
        button=title,
        back=request.get_full_path(),
        tables=[("The sagas", chosen(rows, fitting), "")],
        hidden=hidden,
    )


def chosen(rows: Iterable[SagaInstance], fitting: Sequence[Status]) -> Table:
    shown = [
        [
            link(SAGA_PAGE, row.pk, whole(f"{row.name} of {row.subject}")),
            labelled(row.status, COLOURS),
            broken(row.fingerprint),
            "yes" if row.status in fitting else "no, it will be refused",
        ]
        for row in rows
    ]
    return {"headers": ["saga", "status", "what parked it", "does it fit?"], "rows": shown}


def do_each(admin: ModelAdmin[Any], request: HttpRequest, sagas: list[UUID], verb: str, why: str) -> None:
    """Tell of each how it went."""
    done, refused = [], []
    for pk in sagas:
        try:
            effect = operators.perform(pk, verb, by=operator(request), why=why).effect
        except OperatorRefused as refusal:
            refused.append((str(pk), str(refusal)))
        else:
            done.append((str(pk), effect))
    for told, level in ((done, messages.SUCCESS), (refused, messages.ERROR)):
        if told:
            admin.message_user(request, format_html_join(SafeString("<br>"), "{}: {}", told), level)
