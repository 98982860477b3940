"""CloudEvents: events travel as CloudEvents 1.0 in structured mode (https://cloudevents.io, JSON format). Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from celery_config.contracts.base import Event, encode


def structured_event(
    event: Event,
    *,
    service: str,
    subject: str,
    time: datetime,
    saga: UUID | None,
    event_id: UUID,
    **extensions: str | int,
) -> dict[str, Any]:
    """Return `event` as a CloudEvents structure.

    Its type names the schema of its data, because an event only gains fields with a default; it needs no `dataschema`.
    The version of the row it is about, if there is one, is a field of its data.

    Args:
        service: the service that announces it.
        subject: the id of what it is about (order id, SKU); never empty.
        saga: the correlation id, if it belongs to a saga.
        extensions: further attributes, named in lower-case letters and digits: step, operation, outcome.
    """
    correlation = {"saga": str(saga)} if saga else {}
    return {
        "specversion": "1.0",
        "id": str(event_id),
        "source": f"/{service}",
        "type": event.wire_name(),
        "subject": subject,
        "time": time.isoformat(),
        "datacontenttype": "application/json",
        **correlation,
        **extensions,
        "data": encode(event),
    }
