"""Headers of a task message, checked before Celery reads them.

Everyone who may publish can write anything there, and Celery trusts it: a time limit that is not a pair ends a worker,
and an expired message also revokes every other one with its id.
"""

from __future__ import annotations

from datetime import MAXYEAR, UTC, datetime
from typing import Annotated, Any

import msgspec
from kombu.message import Message

from celery_config.common.correlation import (
    LONGEST_REQUEST_ID,
    REQUEST_ID_PATTERN,
    TRACEPARENT_LENGTH,
    TRACEPARENT_PATTERN,
)

NOT_BEFORE = "not_before"
"""Our header for an ETA; Celery does not know it and therefore does not wait."""
DELIVERY_COUNT = "x-delivery-count"
SUSPICIOUS = 3
"""After so many deliveries a message may be what killed its workers. After fewer, one lost connection may have brought
back whole batches, and running them one by one would only be slow."""


# An id becomes a property of the next message, which has room for 255 bytes.
Id = Annotated[str, msgspec.Meta(max_length=255)]
RequestId = Annotated[str, msgspec.Meta(pattern=f"^{REQUEST_ID_PATTERN}$", max_length=LONGEST_REQUEST_ID)]
TraceParent = Annotated[str, msgspec.Meta(pattern=f"^{TRACEPARENT_PATTERN}$", max_length=TRACEPARENT_LENGTH)]


class Headers(msgspec.Struct):
    """See Celery's message protocol, version 2."""

    task: str
    id: Id
    root_id: Id | None = None
    parent_id: Id | None = None
    group: str | None = None
    shadow: str | None = None
    lang: str | None = None
    origin: str | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    eta: datetime | None = None
    expires: None = None
    """None of our messages expires."""
    retries: Annotated[int, msgspec.Meta(ge=0)] | None = None
    timelimit: tuple[None, None] | None = None
    """The limit of handlers is the worker's."""
    ignore_result: bool | None = None
    replaced_task_nesting: int | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None
    request_id: RequestId | None = None
    traceparent: TraceParent | None = None
    delivery_count: int = msgspec.field(default=0, name=DELIVERY_COUNT)

    def __post_init__(self) -> None:
        ids = f"{self.id}{self.root_id}{self.parent_id}"
        if not (ids.isascii() and ids.isprintable()):
            raise ValueError("an id that is not printable ASCII")
        if (
            self.eta and self.eta.year == MAXYEAR
        ):  # in UTC it may be in the year after, which no datetime holds
            raise ValueError(f"an ETA in the year {MAXYEAR}")


def is_suspicious(message: Message) -> bool:
    """Whether it runs alone (rule 19, dead letters); its headers must have been checked."""
    return int(message.headers.get(DELIVERY_COUNT, 0)) >= SUSPICIOUS


def seconds_until(eta: Any) -> float:
    """The seconds until a message's ETA, of any form that `Headers` takes; negative when it is past."""
    moment = msgspec.convert(eta, datetime)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
