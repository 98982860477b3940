"""The form of an address: one field for each part, with the names and the rules of the API."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget

from order_project.addresses import AddressInput, clean_address

PARTS = tuple(AddressInput().fields)


class AddressWidget(forms.MultiWidget):
    template_name = "order_saga/labelled_fields.html"

    def __init__(self) -> None:
        super().__init__(
            {part: UnfoldAdminTextInputWidget({"title": part.replace("_", " ")}) for part in PARTS}
        )

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
        return clean_address(given) if given else None
