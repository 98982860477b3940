"""Addresses of customers, as they are kept and announced."""

from __future__ import annotations

from typing import Any

import msgspec
from django.core.exceptions import ValidationError
from django.db.models import Q

from celery_config.common.iso import validate_country
from celery_config.contracts.base import contract_fields, decode
from celery_config.contracts.values import Address

PARTS = [field.name for field in contract_fields(Address)]


def validate_address(value: Any) -> None:
    """Raise ValidationError unless `value` has the parts of an address and no others."""
    try:
        address = decode(Address, value)
    except msgspec.ValidationError as error:
        raise ValidationError(f"This is no address: {error}.", code="invalid_address") from error
    if set(value) - set(PARTS):
        raise ValidationError(f"An address has {', '.join(PARTS)}.", code="invalid_address")
    validate_country(address.country)


def is_address(column: str) -> Q:
    """Return the condition that a column is empty or has all parts, so that subscribers can read what is announced."""
    return Q((f"{column}__isnull", True)) | Q((f"{column}__has_keys", PARTS))
