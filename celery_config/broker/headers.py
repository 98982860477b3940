"""Headers of a task message, checked before Celery reads them.

Everyone who may publish can write anything there, and Celery trusts it: a time limit that is not a pair ends a worker.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from kombu.message import Message

NOT_BEFORE = "not_before"
"""Our header for an ETA; Celery does not know it and therefore does not wait."""
DELIVERY_COUNT = "x-delivery-count"
SUSPICIOUS = 3
"""After so many deliveries a message may be what killed its workers. After fewer, one lost connection may have brought
back whole batches, and running them one by one would only be slow."""


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


def is_suspicious(message: Message) -> bool:
    """Whether it runs alone (rule 19, dead letters); its headers must have been checked."""
    return int(message.headers.get(DELIVERY_COUNT, 0)) >= SUSPICIOUS


def seconds_until(eta: str) -> float:
    """The seconds until a message's ETA; negative when it is past."""
    moment = datetime.fromisoformat(eta)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
