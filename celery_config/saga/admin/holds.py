"""The pages of holds: hold a participant, a provider, a step or flows, and let go of them in waves."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldBooleanSwitchWidget,
)

from celery_config.saga.admin.forms import Choices, WhyForm
from celery_config.saga.admin.permissions import permit
from celery_config.saga.admin.widgets import confirm_and_act, render_confirmation
from celery_config.saga.holds import steering
from celery_config.saga.holds.choosing import Target, choose, count_held_now, list_names, tell_count
from celery_config.saga.holds.models import Hold
from celery_config.saga.holds.reading import count_held_flows
from celery_config.saga.operations.acts import name_act, name_step, title_act
from celery_config.saga.operations.wording import capitalize
from celery_config.web.admin import ReadOnlyAdmin
from celery_config.web.columns import column, format_number, get_page_url

LIST = "admin:holds_hold_changelist"
ABOUT = (
    "Workers set aside what would begin, also of what is under way. Undos go on unless you hold them, too, so that a"
    " cancelled order is still undone. Deadlines move by the time held."
)
LABEL = column("text", "label", "what is held", lambda hold: capitalize(hold.label))
HELD = column("text", "held", "held now", lambda hold: format_number(getattr(hold, "held", 0)))
UNDOS = column("text", "undos", "undos", lambda hold: "held, too" if hold.undos else "go on")
HEADINGS = {"participant": "A service", "provider": "Outside", "step": "A step"}


def tell_pace(hold: Hold) -> str:
    """Return how a hold is let go."""
    if hold.ended_at:
        return "all let go"
    return f"{hold.per_second:g} a second" if hold.per_second else "not yet"


PACE = column("text", "per_second", "let go", tell_pace)


class UndosForm(WhyForm):
    undos = forms.BooleanField(
        label="Undos, too",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="what is cancelled is then not undone until you let go",
    )


class HoldForm(UndosForm):
    what = forms.ChoiceField(label="What to hold", widget=UnfoldAdminSelectWidget)
    field_order = ("what", "undos", "why")

    def __init__(self, data: Any, choices: Choices, **options: Any) -> None:
        super().__init__(data, **options)
        self.fields["what"].choices = choices  # type: ignore[attr-defined]


class LetGoForm(WhyForm):
    per_second = forms.FloatField(
        label="How many a second",
        required=False,
        min_value=steering.SLOWEST,
        max_value=steering.FASTEST,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="the oldest first; empty: all at once",
    )
    field_order = ("per_second", "why")


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    has_hold_permission, has_let_go_permission = permit("hold"), permit("let go")
    list_display: Any = (LABEL, HELD, PACE, "since", "by", "why", "ended_at")
    list_filter = (("ended_at", admin.EmptyFieldListFilter),)
    ordering = ("-since",)
    fields = (LABEL, HELD, UNDOS, PACE, "since", "by", "why", "ended_at", "id")
    actions_list = ("start",)
    actions_detail = ("let_go",)
    nothing_yet = "Nothing is held."

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found: Any = super().get_object(request, object_id, from_field)
        if found:
            found.held = count_held_flows().get(found.pk, 0)
        return found

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Count for all rows of the page at once."""
        page: Any = super().get_changelist_instance(request)
        rows, counted = list(page.result_list), count_held_flows()
        for row in rows:
            row.held = counted.get(row.pk, 0)
        page.result_list = rows
        return page  # type: ignore[no-any-return]

    @action(
        description=f"{name_act('hold')}…",
        icon="pause",
        permissions=["hold"],
        variant=ActionVariant.DANGER,
    )
    def start(self, request: HttpRequest) -> HttpResponse:
        """Ask first what, then show how many it would hold; the second answer holds it."""
        form = HoldForm(request.POST or None, list_choices())
        chosen = form.data.get("what", "").partition(" ") if form.is_bound else ("", "", "")
        target = choose(chosen[0], chosen[2]) if form.is_valid() else None

        def act(*, by: str, why: str) -> Any:
            assert target is not None
            return steering.hold(target, undos=form.cleaned_data["undos"], by=by, why=why)

        context: dict[str, Any] = {"title": name_act("hold"), "about": ABOUT, "button": name_act("hold")}
        # What is held is what was counted: who chooses something else sees its number first.
        counted = f"{form.data.get('what')} {form.data.get('undos', '')}" if target else ""
        if target and request.POST.get("counted") != counted:
            count = tell_count(count_held_now(target, undos=form.cleaned_data["undos"]))
            return render_confirmation(
                self, request, form=form, back=reverse(LIST), hidden=[("counted", counted)],
                **context | {"title": title_act("hold", target.label), "warnings": [f"{capitalize(count)}."]},
            )  # fmt: skip
        return confirm_and_act(self, request, form, reverse(LIST), act, **context)

    @action(
        description=f"{name_act('let go')}…", icon="play_arrow", permissions=["let_go"], url_path="let-go"
    )
    def let_go(self, request: HttpRequest, object_id: str) -> HttpResponse:
        hold = self.get_object(request, object_id)
        if hold is None:
            return self.redirect_to_list(request, object_id)
        form = LetGoForm(request.POST or None, initial={"per_second": hold.per_second})

        def act(*, by: str, why: str) -> Any:
            return steering.let_go(hold.pk, per_second=form.cleaned_data["per_second"], by=by, why=why)

        count = format_number(hold.held)
        return confirm_and_act(
            self, request, form, get_page_url(hold), act, title=title_act("let go", hold.label),
            about=f"Held now: {count} under way. What comes meanwhile is held, too, until all are let go",
            original=hold, button=name_act("let go"),
            refused=f"{hold.label} is not held any more" if hold.ended_at else "",
        )  # fmt: skip


def list_choices() -> Choices:
    """List what can be held by its name."""
    return [
        (
            HEADINGS[kind],
            [(f"{kind} {name}", name_step(name) if kind == Hold.Kind.STEP else name) for name in names],
        )
        for kind, names in list_names().items()
    ]


def show_hold_page(
    model_admin: admin.ModelAdmin[Any],
    request: HttpRequest,
    target: Target,
    back: str,
    **context: Any,
) -> HttpResponse:
    """Show what holding these flows does, ask why, and hold them."""
    # A list's action comes here by a POST of its own, before anything is asked.
    is_asked = "action" not in request.POST or "confirmed" in request.POST
    form = UndosForm(request.POST or None if is_asked else None)

    def act(*, by: str, why: str) -> Any:
        return steering.hold(target, undos=form.cleaned_data["undos"], by=by, why=why)

    context["hidden"] = [("confirmed", "yes"), *context.get("hidden", [])]
    return confirm_and_act(
        model_admin, request, form, back, act, title=title_act("hold", target.label), about=ABOUT,
        button=name_act("hold"), after="It is let go on the page of holds.", **context,
    )  # fmt: skip
