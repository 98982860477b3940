"""The form in which events travel: CloudEvents 1.0, structured mode (https://cloudevents.io, JSON format). Pure."""

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

    Its type says which schema its data have, as an event only ever gains fields with a default: there is no need of a
    `dataschema`. What counts the versions of a row, if the event is about one, is a field of its data.

    Args:
        service: whose event it is.
        subject: the id of what it is about (order id, SKU); never empty.
        saga: the correlation id, if it belongs to a saga.
        extensions: further attributes, named in small letters and digits: step, operation, outcome.
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
