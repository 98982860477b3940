"""The form of an address: one field for each part, with the names and the rules of the API."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextInputWidget

from order_project.addresses import LABELS, clean_address

PARTS = tuple(LABELS)
MARK_OF_ERRORS = "group-[.errors]:"
"""Of unfold's classes: a box is red because the field has errors, whatever part they are about."""


class AddressWidget(forms.MultiWidget):
    template_name = "order_saga/labelled_fields.html"

    def __init__(self) -> None:
        super().__init__({part: UnfoldAdminTextInputWidget({"title": LABELS[part]}) for part in PARTS})
        self.wrong: set[str] = set()

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """Show as wrong only the parts that are."""
        context: dict[str, Any] = super().get_context(name, value, attrs)
        for part, box in zip(PARTS, context["widget"]["subwidgets"], strict=True):
            if part in self.wrong:
                box["attrs"]["aria-invalid"] = "true"
            else:
                classes = box["attrs"].get("class", "").split()
                box["attrs"]["class"] = " ".join(each for each in classes if MARK_OF_ERRORS not in each)
        return context

    def decompress(self, value: dict[str, Any] | None) -> list[Any]:
        return [(value or {}).get(part) for part in PARTS]


class AddressField(forms.MultiValueField):
    """Its value is the address as it is stored, or None if no part is given."""

    def __init__(self, **options: Any) -> None:
        # The API's rules judge the parts, and name the one that is wrong.
        parts = [forms.Field(required=False) for _ in PARTS]
        super().__init__(parts, widget=AddressWidget(), required=False, require_all_fields=False, **options)

    def compress(self, values: list[str]) -> dict[str, Any] | None:
        given = {part: value for part, value in zip(PARTS, values, strict=False) if value}
        try:
            return clean_address(given) if given else None
        except ValidationError as error:
            self.widget.wrong = {(each.params or {}).get("part", "") for each in error.error_list}
            raise
