"""The headers of a task message, as far as Celery and we read them.

Whoever may publish may write anything there, and Celery believes it: a time limit that is no pair ends a worker.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from kombu.message import Message

NOT_BEFORE = "not_before"
"""Our header for an ETA, which Celery does not know."""
DELIVERY_COUNT = "x-delivery-count"
SUSPICIOUS = 3
"""A message that came back so often may be what its workers died of. Below that, whole batches come back because one
connection was cut, and to run them one by one would be slow for nothing."""


class Headers(msgspec.Struct):
    """See Celery's message protocol, version 2."""

    task: str
    id: str
    root_id: str | None = None
    parent_id: str | None = None
    group: str | None = None
    shadow: str | None = None
    lang: str | None = None
    origin: str | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    eta: datetime | None = None
    expires: datetime | None = None
    retries: Annotated[int, msgspec.Meta(ge=0)] | None = None
    timelimit: tuple[float | None, float | None] | None = None
    ignore_result: bool | None = None
    replaced_task_nesting: int | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None
    delivery_count: int = msgspec.field(default=0, name=DELIVERY_COUNT)

    @classmethod
    def of(cls, message: Message) -> Headers:
        """
        Raises:
            msgspec.ValidationError: they are not a task's; the text names the header.
        """
        return msgspec.convert(message.headers or {}, cls)


def is_suspicious(message: Message) -> bool:
    """Whether it runs alone (rule 19). Asked twice of each message, whose headers were checked before."""
    return int(message.headers.get(DELIVERY_COUNT, 0)) >= SUSPICIOUS


def seconds_until(eta: str) -> float:
    """How far away a message's ETA is; negative when it is past."""
    moment = datetime.fromisoformat(eta)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
