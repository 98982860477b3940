"""Addresses of customers and orders: the API and the admin have the same rules."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from celery_config.common.address_parts import find_missing_parts, find_unprintable
from celery_config.common.iso import validate_country
from celery_config.contracts.base import contract_fields, encode, is_required
from celery_config.contracts.values import Address
from celery_config.web.fields import StrictCharField
from celery_config.web.inputs import ClientInput
from celery_config.web.problems import flatten_details

# The first release had these; a reader of that release needs them all, empty or not.
KEPT_PARTS = [field.name for field in contract_fields(Address) if is_required(field)]
BY_COUNTRY: dict[str, Any] = {
    "required": False,
    "allow_blank": True,
    "help_text": "whether it is required depends on the country",
}


class PartField(StrictCharField):
    """A text that a parcel's label can show."""

    def run_validators(self, value: Any) -> None:
        """Of a text that cannot be printed no more is said than that."""
        if wrong := find_unprintable(value):
            told = f"This cannot be printed on a label: {wrong[:100]}."
            raise serializers.ValidationError(told, "unprintable")
        super().run_validators(value)


class AddressInput(ClientInput):
    name = PartField(max_length=200)
    line1 = PartField(max_length=200, label="Address line 1")
    line2 = PartField(max_length=200, label="Address line 2", required=False, allow_blank=True)
    city = PartField(max_length=100, **BY_COUNTRY)
    region = PartField(max_length=100, **BY_COUNTRY)
    postal_code = PartField(max_length=20, **BY_COUNTRY)
    country = PartField(validators=[validate_country], help_text="ISO 3166-1 alpha-2")

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Return the address as it is stored. A PATCH changes an address as a whole.

        Raises:
            ValidationError: a part is wrong, or lacks although the country requires it.
        """
        if getattr(self.root, "partial", False):
            return read_address(data)
        given = dict.fromkeys(KEPT_PARTS, "") | super().to_internal_value(data)
        if missing := find_missing_parts(given):
            detail = f"This field is required in an address of {given['country']}."
            raise serializers.ValidationError({part: [ErrorDetail(detail, "required")] for part in missing})
        return encode(Address(**given))


LABELS = {part: str(field.label) for part, field in AddressInput().fields.items()}
"""The parts as people call them."""


def read_address(value: Any) -> dict[str, Any]:
    """Return the address that a client or a person gives, as it is stored.

    Raises:
        serializers.ValidationError: it is none.
    """
    given = AddressInput(data=value)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def validate_address(value: Any) -> None:
    """Raise ValidationError, with the errors of the API, unless `value` is an address."""
    clean_address(value)


def clean_address(value: Any) -> dict[str, Any]:
    """Return the address of a form, as it is stored.

    Raises:
        ValidationError: it is none; each error has the text of the API, and in `params` the `part` that is wrong.
    """
    try:
        return read_address(value)
    except serializers.ValidationError as error:
        faults = list(flatten_details(error.get_full_details()))
        raise ValidationError(
            [make_form_error(fault["field"], fault["detail"]) for fault in faults]
        ) from error


def make_form_error(part: str, told: str) -> ValidationError:
    label = LABELS.get(part, part)
    params = {"part": part, "told": f"{label}: {told}" if label else told}
    return ValidationError("%(told)s", params=params)


def is_address(column: str) -> Q:
    """Return the condition that a column is empty or an address, so that subscribers can read what is announced."""
    return Q((f"{column}__isnull", True)) | Q((f"{column}__has_keys", KEPT_PARTS))
