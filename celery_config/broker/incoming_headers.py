"""Headers of a task message, checked before Celery reads them.

Everyone who may publish can write anything there, and Celery trusts it: a time limit that is not a pair ends a worker,
and an expired message also revokes every other one with its id. A header that is not named here reaches no task.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from kombu.message import Message

from celery_config.common.correlation import (
    LONGEST_REQUEST_ID,
    REQUEST_ID_PATTERN,
    TRACEPARENT_LENGTH,
    TRACEPARENT_PATTERN,
)

DELIVERY_COUNT = "x-delivery-count"
SUSPICIOUS = 3
"""After so many deliveries a message may be what killed its workers. After fewer, one lost connection may have brought
back whole batches, and running them one by one would only be slow."""


LONGEST, LONGEST_SHOWN = 255, 1000
# An id becomes a property of the next message, which has room for 255 bytes.
Id = Annotated[str, msgspec.Meta(max_length=LONGEST)]
RequestId = Annotated[str, msgspec.Meta(pattern=rf"^{REQUEST_ID_PATTERN}\Z", max_length=LONGEST_REQUEST_ID)]
TraceParent = Annotated[
    str, msgspec.Meta(pattern=rf"^{TRACEPARENT_PATTERN}\Z", max_length=TRACEPARENT_LENGTH)
]


class LinkOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Those of our own chains. Celery knows many more, and what cannot be sent would stay in our outbox."""

    exchange: str
    routing_key: Annotated[str, msgspec.Meta(max_length=LONGEST)]
    task_id: Annotated[str, msgspec.Meta(max_length=LONGEST, pattern=r"^[ -~]+\Z")] | None = None
    mandatory: bool = False
    argsrepr: Annotated[str, msgspec.Meta(max_length=LONGEST_SHOWN)] = ""
    kwargsrepr: Annotated[str, msgspec.Meta(max_length=LONGEST_SHOWN)] = ""
    link_error: list[dict[str, Any]] = []


class Link(msgspec.Struct):
    """What follows from a message, a link of its chain or an errback: we write the next message from it."""

    task: Annotated[str, msgspec.Meta(max_length=LONGEST)]
    options: LinkOptions
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


class Headers(msgspec.Struct):
    """See Celery's message protocol, version 2."""

    task: str
    id: Id
    root_id: Id | None = None
    parent_id: Id | None = None
    group: str | None = None
    shadow: None = None
    """None of our messages shows another name than its task's: Celery counts messages by it, and forgets none."""
    lang: str | None = None
    origin: str | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    eta: None = None
    """None of our messages comes before its time: retries wait in their service's outbox (rule 10, locks and retries).
    The worker would hold it in its window, or its service in its database, for as long as the sender likes."""
    expires: None = None
    """None of our messages expires."""
    retries: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] | None = None
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


def is_suspicious(message: Message) -> bool:
    """Whether it runs alone (rule 19, dead letters); its headers must have been checked."""
    return int(message.headers.get(DELIVERY_COUNT, 0)) >= SUSPICIOUS
