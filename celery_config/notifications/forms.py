"""Forms of rules and acknowledgements."""

from __future__ import annotations

from typing import ClassVar

from django import forms
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextareaWidget

from celery_config.common.conditions import KIND_WORDS
from celery_config.notifications.models import NotificationRule
from celery_config.web.forms import VisibleTextField


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    kinds = forms.MultipleChoiceField(
        choices=[(kind.value, words) for kind, words in KIND_WORDS.items()],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="which conditions; none: all of them",
    )

    class Meta:
        model = NotificationRule
        fields = (
            "name", "enabled", "channel", "emails", "url", "secret", "kinds", "least_severity", "repeat_seconds",
        )  # fmt: skip
        labels: ClassVar = {
            "emails": "E-mail addresses",
            "url": "Address of the webhook",
            "repeat_seconds": "Repeated every, in seconds",
        }


class NoteForm(forms.Form):
    note = VisibleTextField(
        max_length=1000,
        help_text="what you do about it; kept with your name",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )


class NothingForm(forms.Form):
    """A form of its button alone."""
