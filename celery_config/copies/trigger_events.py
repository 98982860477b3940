"""The CloudEvent of a row as an SQL expression: the same on every database as `outbox.writing` builds it in Python."""

from __future__ import annotations

from collections.abc import Mapping

from celery_config.contracts.base import Event


def cloud_event(
    event: type[Event], function: str, *, id: str, subject: str, time: str, data: Mapping[str, str]
) -> str:
    """
    Args:
        function: the database's function that builds a JSON object.
        id, subject, time: SQL expressions of these attributes.
        data: an SQL expression for each field of the event.
    """
    attributes = {
        "specversion": "'1.0'",
        "id": id,
        "source": f"'/{event.service}'",
        "type": f"'{event.wire_name()}'",
        "subject": subject,
        "time": time,
        "datacontenttype": "'application/json'",
        "data": json_object(function, data),
    }
    return json_object(function, attributes)


def json_object(function: str, values: Mapping[str, str]) -> str:
    pairs = ", ".join(f"'{name}', {value}" for name, value in values.items())
    return f"{function}({pairs})"
