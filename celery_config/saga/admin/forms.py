"""Forms that an operator fills in before an act."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
)

from celery_config.saga.operations.timing import LONGEST_MINUTES
from celery_config.web.forms import StorableJsonField, VisibleTextField

Choices = list[tuple[str, Any]]


class WhyForm(forms.Form):
    why = VisibleTextField(
        max_length=1000,
        help_text="kept with your name",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )


class SeenForm(WhyForm):
    """`seen` is the status that the page showed; if the status has changed since, the page is shown again."""

    seen = forms.CharField(widget=forms.HiddenInput)


class JsonObject(StorableJsonField):
    """Accepts an empty object as an answer."""

    def to_python(self, value: Any) -> Any:
        given = super().to_python(value)
        if given is not None and not isinstance(given, dict):
            raise forms.ValidationError("give a JSON object: {…}")
        return given

    def prepare_value(self, value: Any) -> Any:
        return "" if value is None else super().prepare_value(value)


class SettleForm(WhyForm):
    intent = forms.ChoiceField(label="Open call", widget=UnfoldAdminRadioSelectWidget)
    answer = JsonObject(
        label="Answer",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4, "placeholder": "{}", "class": "font-mono"}),
    )
    field_order = ("intent", "answer", "why")

    def __init__(self, data: Any, choices: Choices, examples: Any) -> None:
        super().__init__(data)
        self.fields["intent"].choices = choices  # type: ignore[attr-defined]
        self.fields["answer"].help_text = examples


class DeadlineForm(WhyForm):
    minutes = forms.IntegerField(
        label="Minutes from now", min_value=1, max_value=LONGEST_MINUTES, widget=UnfoldAdminIntegerFieldWidget
    )
    field_order = ("minutes", "why")


class PauseForm(WhyForm):
    what = forms.ChoiceField(label="Hold up new", widget=UnfoldAdminSelectWidget)
    field_order = ("what", "why")

    def __init__(self, data: Any, choices: Choices) -> None:
        super().__init__(data)
        self.fields["what"].choices = choices  # type: ignore[attr-defined]
