"""Redaction removes personal data from a message and keeps its form, so every reader can still decode it. Pure."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery_config.contracts.base import contract_fields
from celery_config.contracts.values import Address

NO_CUSTOMER = UUID(int=0)
"""Replaces a customer's id where the contract requires one."""
# The country decides about taxes, so it stays. A reason is free text, such as `cancelled by ada`.
PERSONAL_FIELDS: dict[str, str] = {
    **{field.name: "" for field in contract_fields(Address) if field.name != "country"},
    "email": "",
    "payment_token": "",
    "reason": "",
    "customer": str(NO_CUSTOMER),
}
"""What replaces each personal field. Its name is the same in all contracts and in all stored requests."""


def redact(value: Any) -> Any:
    """Return the JSON value with its personal fields blanked."""
    if isinstance(value, list):
        return [redact(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: PERSONAL_FIELDS[name] if name in PERSONAL_FIELDS and isinstance(each, str) else redact(each)
        for name, each in value.items()
    }
