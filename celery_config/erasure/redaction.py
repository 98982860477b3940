"""What messages say of a person, and what is left of that. Pure."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery_config.contracts.base import fields_of
from celery_config.contracts.values import Address

NO_CUSTOMER = UUID(int=0)
"""In the place of a customer's id, where there has to be one."""
# The country stays, since it decides about taxes. A reason is free text: `cancelled by ada`.
PERSONAL_FIELDS: dict[str, str] = {
    **{field.name: "" for field in fields_of(Address) if field.name != "country"},
    "email": "",
    "payment_token": "",
    "reason": "",
    "customer": str(NO_CUSTOMER),
}
"""By the names of fields in contracts, which are the same in every message and in every stored request."""


def redact(value: Any) -> Any:
    """JSON without what it says of a person. It keeps its form, so that whoever decodes it still can."""
    if isinstance(value, list):
        return [redact(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: PERSONAL_FIELDS[name] if name in PERSONAL_FIELDS and isinstance(each, str) else redact(each)
        for name, each in value.items()
    }
