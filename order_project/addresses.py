"""Addresses of customers and orders: the API and the admin have the same rules."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q
from rest_framework import serializers

from celery_config.common.iso import validate_country
from celery_config.contracts.base import contract_fields
from celery_config.contracts.values import Address
from celery_config.web.inputs import ClientInput
from celery_config.web.problems import flatten_details

PARTS = [field.name for field in contract_fields(Address)]


class AddressInput(ClientInput):
    name = serializers.CharField(max_length=200)
    line1 = serializers.CharField(max_length=200)
    city = serializers.CharField(max_length=100)
    postal_code = serializers.CharField(max_length=20)
    country = serializers.CharField(validators=[validate_country], help_text="ISO 3166-1 alpha-2")


def validate_address(value: Any) -> None:
    """Raise ValidationError, with the errors of the API, unless `value` is an address."""
    given = AddressInput(data=value)
    try:
        given.is_valid(raise_exception=True)
    except serializers.ValidationError as error:
        faults = flatten_details(error.get_full_details())
        raise ValidationError(
            [f"{fault['field']}: {fault['detail']}".removeprefix(": ") for fault in faults]
        ) from error


def is_address(column: str) -> Q:
    """Return the condition that a column is empty or has all parts, so that subscribers can read what is announced."""
    return Q((f"{column}__isnull", True)) | Q((f"{column}__has_keys", PARTS))
