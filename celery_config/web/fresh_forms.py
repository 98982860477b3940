"""A form of the admin that knows which values it was made from: what others changed meanwhile is never set back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.text import capfirst

MADE_FROM = "made_from"
"""The hidden field: each field's name with a digest of the value that the page showed."""
MAX_SHOWN = 100
MAX_LENGTH = 10_000


class FreshForm:
    """Mixed into a model's form. The caller has locked the row and read it under the lock.

    Every value is compared, and no version: a version counts only what other services keep copies of.
    """

    fields: Mapping[str, forms.Field]
    initial: dict[str, Any]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.initial[MADE_FROM] = " ".join(self.digests.values())

    @property
    def digests(self) -> dict[str, str]:
        """Those of the row as it is now. What a form cannot change, such as a password's hash, is left out."""
        return {
            name: f"{name}:{digest_value(self.get_initial_for_field(field, name), field)}"  # type: ignore[attr-defined]
            for name, field in self.fields.items()
            if name != MADE_FROM and not field.disabled
        }

    def clean(self) -> Any:
        cleaned = super().clean()  # type: ignore[misc]
        shown = self.data.get(self.add_prefix(MADE_FROM), "").split()  # type: ignore[attr-defined]
        if changed := [name for name, digest in self.digests.items() if digest not in shown]:
            told = f"Changed meanwhile: {', '.join(map(self.describe_change, changed))}"
            why = told if shown else "The form does not say which values it was made from"
            self.add_error(None, f"Nothing was saved. {why}. Open the page again, and repeat your changes.")  # type: ignore[attr-defined]
        return cleaned

    def describe_change(self, name: str) -> str:
        """The field's label, with its present value if that is a word or a number."""
        field = self.fields[name]
        label = capfirst(str(field.label or name))
        value = self.get_initial_for_field(field, name)  # type: ignore[attr-defined]
        if isinstance(field, forms.ModelChoiceField) or not isinstance(value, str | int):
            return label
        return f"{label} (now {str(value)[:MAX_SHOWN] or 'empty'})"


def digest_value(value: Any, field: forms.Field) -> str:
    prepared = field.prepare_value(value)
    text = repr(
        sorted(map(repr, prepared)) if isinstance(field, forms.ModelMultipleChoiceField) else prepared
    )
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def make_fresh(form: type[forms.ModelForm[Any]]) -> type[forms.ModelForm[Any]]:
    """Return the form with the hidden field and the check."""
    made_from = forms.CharField(widget=forms.HiddenInput, required=False, max_length=MAX_LENGTH)
    metaclass: Any = type(form)  # collects the fields of a form
    fresh: type[forms.ModelForm[Any]] = metaclass(
        f"Fresh{form.__name__}", (FreshForm, form), {MADE_FROM: made_from}
    )
    return fresh
