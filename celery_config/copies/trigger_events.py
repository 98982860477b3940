"""The CloudEvent of a row as an SQL expression, equal on every database to what `outbox.writing` builds in Python."""

from __future__ import annotations

from collections.abc import Mapping

from celery_config.contracts.base import Event

EPOCH = "coalesce((SELECT token FROM messaging_epoch), '')"
"""Of this database: the attribute that lets readers tell versions before and after a restore apart."""


def cloud_event(event: type[Event], function: str, data: Mapping[str, str], **attributes: str) -> str:
    """
    Args:
        function: the database's function that builds a JSON object.
        data: an SQL expression for each field of the event.
        attributes: SQL expressions of the attributes that differ from row to row.
    """
    constant = {
        "specversion": "1.0",
        "source": f"/{event.service}",
        "type": event.wire_name(),
        "datacontenttype": "application/json",
    }
    quoted = {name: f"'{value}'" for name, value in constant.items()}
    return json_object(function, {**quoted, **attributes, "data": json_object(function, data)})


def json_object(function: str, values: Mapping[str, str]) -> str:
    pairs = ", ".join(f"'{name}', {value}" for name, value in values.items())
    return f"{function}({pairs})"
