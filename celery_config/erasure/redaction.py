"""What messages say of a person, and what is left of that. Pure."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery_config.contracts.base import contract_fields
from celery_config.contracts.values import Address

NOBODY = UUID(int=0)
"""In the place of a customer's id, where there has to be one."""
# The country stays, since it decides about taxes. A reason is free text: `cancelled by ada`.
PERSONAL: dict[str, str] = {
    **{field.name: "" for field in contract_fields(Address) if field.name != "country"},
    "email": "",
    "payment_token": "",
    "reason": "",
    "customer": str(NOBODY),
}
"""By the names of fields in contracts, which are the same in every message and in every stored request."""


def blanked(value: Any) -> Any:
    """JSON without what it says of a person. It keeps its form, so that whoever decodes it still can."""
    if isinstance(value, list):
        return [blanked(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: PERSONAL[name] if name in PERSONAL and isinstance(each, str) else blanked(each)
        for name, each in value.items()
    }
