"""The states of an incident, which follow from its times, in one place for pages, lists and API."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from django.db.models import Q


class IncidentState(StrEnum):
    """Whether an incident stands, whether somebody has taken it, or that it is over."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    OVER = "over"


CONDITIONS = {
    IncidentState.OPEN: Q(over_at__isnull=True, acknowledged_at__isnull=True),
    IncidentState.ACKNOWLEDGED: Q(over_at__isnull=True, acknowledged_at__isnull=False),
    IncidentState.OVER: Q(over_at__isnull=False),
}
STATE_COLOURS = {
    IncidentState.OPEN.value: "danger",
    IncidentState.ACKNOWLEDGED.value: "warning",
    IncidentState.OVER.value: "success",
}


def find_state(incident: Any) -> str:
    """Return the state of an incident."""
    if incident.over_at is not None:
        return IncidentState.OVER.value
    acknowledged = incident.acknowledged_at is not None
    return (IncidentState.ACKNOWLEDGED if acknowledged else IncidentState.OPEN).value
