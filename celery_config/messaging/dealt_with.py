"""What an operator says of rows about which nothing is left to do: when, who and why; the rows stay as they are."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import EmptyFieldListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import action
from unfold.forms import ActionForm
from unfold.widgets import UnfoldAdminTextInputWidget

from celery_config.common.visible_text import is_visible
from celery_config.db.functions import Now
from celery_config.web.admin import ReadOnlyAdmin

DEALT_WITH_FILTER = ("dealt_with_at", EmptyFieldListFilter)


class WhyActionForm(ActionForm):  # type: ignore[misc]
    why = forms.CharField(
        max_length=1000,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "why"}),
    )


class DealtWithAdmin(ReadOnlyAdmin):
    """A read-only page with the verb *Dealt with*, for those who may change its rows."""

    actions = ("deal_with",)
    action_form = WhyActionForm
    what_follows = ""
    """What becomes of the rows afterwards."""

    @action(description="Dealt with", permissions=["act"])
    def deal_with(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        """Say that nothing is left to do about these rows; those that were dealt with before stay as they are."""
        if not (why := find_why(self, request)):
            return
        fresh = chosen.filter(dealt_with_at__isnull=True)
        by = request.user.get_username()
        count = fresh.update(dealt_with_at=Now(), dealt_with_by=by, dealt_with_why=why)
        self.message_user(request, f"{count} dealt with{self.what_follows}", messages.SUCCESS)


def find_why(admin: ReadOnlyAdmin, request: HttpRequest) -> str:
    """Return the reason that was given with an action of a list; without one say so, and return nothing."""
    why = request.POST.get("why", "").strip()
    if is_visible(why):
        return str(why)
    admin.message_user(request, "Nothing was changed: say why", messages.ERROR)
    return ""
