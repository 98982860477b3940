"""The status of a choreographed order is derived from the events that were seen of it, in whatever order. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from celery_config.contracts.base import Command, Event
from celery_config.contracts.inventory import (
    CommitStock,
    InventoryFetched,
    InventoryIssued,
    InventoryRefused,
    InventoryReturned,
    ReserveStock,
)
from celery_config.contracts.order import OrderWithdrawn
from celery_config.contracts.payment import (
    AuthorizePayment,
    CapturePayment,
    PaymentCollected,
    PaymentFailed,
    PaymentReceived,
    PaymentReleased,
    PaymentRetained,
)
from celery_config.contracts.shipment import (
    BookShipment,
    DispatchShipment,
    ShipmentArranged,
    ShipmentDeparted,
    ShipmentFailed,
    ShipmentRecalled,
)
from celery_config.saga.engine.machine import IGNORE, CancelRequested, Decision, Retry, View, WatchdogFired
from celery_config.saga.states import ENDED, OPEN, Status

DEADLINE_PASSED = "deadline_passed"


def name_events(*events: type[Event]) -> tuple[str, ...]:
    return tuple(event.wire_name() for event in events)


# What is seen when all goes well and when all is undone, and what speaks against an order: the best explanation first.
ALL_DONE = name_events(
    PaymentReceived, InventoryFetched, ShipmentArranged, PaymentCollected, InventoryIssued, ShipmentDeparted
)
ALL_UNDONE = name_events(PaymentReleased, InventoryReturned, ShipmentRecalled)
REFUSALS = name_events(PaymentFailed, InventoryRefused, ShipmentFailed)
(WITHDRAWN, RECEIVED, RELEASED, COLLECTED, RETAINED) = name_events(
    OrderWithdrawn, PaymentReceived, PaymentReleased, PaymentCollected, PaymentRetained
)
# What is seen of each step when it is done, and when it is undone.
EVENTS_OF_STEPS: dict[type[Command], tuple[str, ...]] = {
    AuthorizePayment: name_events(PaymentReceived, PaymentReleased),
    ReserveStock: name_events(InventoryFetched, InventoryReturned),
    BookShipment: name_events(ShipmentArranged, ShipmentRecalled),
    CapturePayment: name_events(PaymentCollected),
    CommitStock: name_events(InventoryIssued),
    DispatchShipment: name_events(ShipmentDeparted),
}
# What is seen when a step is refused, by the name of its command.
EVENTS_OF_REFUSALS = dict(
    zip((each.wire_name() for each in (AuthorizePayment, ReserveStock, BookShipment)), REFUSALS, strict=True)
)
EVENTS_OF_AN_ORDER = {*ALL_DONE, *ALL_UNDONE, *REFUSALS, WITHDRAWN, RETAINED}
Seen = Mapping[str, Mapping[str, Any]]
"""The contents of the events that were seen of an order, by kind."""


def derive_status(seen: Collection[str]) -> Status:
    """Return the status of an order from the kinds of events that were seen of it.

    What payment says decides: what it took is not given back, and what it gave back is not taken. Both at once never
    happen; if they do, a human must look.
    """
    there = set(seen)
    if there & {COLLECTED, RETAINED}:
        if is_contradicted(there):
            return Status.PARKED
        return Status.COMPLETED if there.issuperset(ALL_DONE) else Status.FORWARD
    if there.issuperset(ALL_UNDONE):
        return Status.COMPENSATED
    return Status.STOPPING if there & {WITHDRAWN, *REFUSALS, *ALL_UNDONE} else Status.RUNNING


def is_contradicted(seen: Collection[str]) -> bool:
    """Whether payment said both that it took the money and that it let go of it."""
    return RELEASED in seen and (COLLECTED in seen or RETAINED in seen)


def find_cause(seen: Seen) -> dict[str, str]:
    """Return why an order is undone: a person's wish, a refusal or its deadline; with the service that said it."""
    wish = [WITHDRAWN] if seen.get(WITHDRAWN, {}).get("code") != DEADLINE_PASSED else []
    for kind in (*wish, *REFUSALS, WITHDRAWN, RELEASED):
        if content := seen.get(kind):
            return {"step": kind, "code": content.get("code", ""), "reason": content.get("reason", "")}
    return {}


def find_next_event(seen: Collection[str]) -> str:
    """Return the kind of event that an order which has not ended waits for: the first that was not seen."""
    back = derive_status(seen) in (Status.STOPPING, Status.COMPENSATED)
    return next((kind for kind in (ALL_UNDONE if back else ALL_DONE) if kind not in seen), "its end")


class Announcement(StrEnum):
    """What the order service announces, once or again."""

    ORDER = "the order"
    WITHDRAWAL = "the withdrawal"


@dataclass(frozen=True)
class EventsSeen:
    """Events of the services were seen."""


@dataclass(frozen=True)
class WithdrawalAsked:
    """An operator wants the order undone."""


@dataclass(frozen=True)
class StepLost:
    """A service was set back behind what was seen of the order."""


Trigger = EventsSeen | StepLost | CancelRequested | WithdrawalAsked | Retry | WatchdogFired


def decide(view: View, trigger: Trigger) -> Decision[Announcement]:
    """Return what an order does about `trigger`; the log of `view` is what was seen of it.

    The services answer from their barriers, so an announcement may be repeated at any time; payment decides whether it
    is too late to undo anything.
    """
    derived = derive_status(view.log)
    if view.status in ENDED:
        return IGNORE
    match trigger:
        case EventsSeen() if derived != view.status and (view.status in OPEN or derived in ENDED):
            soon = derived is Status.FORWARD and COLLECTED not in view.log
            return Decision(derived, soon=soon)
        case StepLost() if view.status in OPEN:
            return Decision(Status.PARKED)
        case CancelRequested() if view.status is Status.RUNNING:
            return Decision(Status.STOPPING, Announcement.WITHDRAWAL)
        case WithdrawalAsked() if derived in (Status.RUNNING, Status.STOPPING):
            return Decision(Status.STOPPING, Announcement.WITHDRAWAL)
        case Retry() if derived in OPEN:
            return Decision(derived, choose_announcement(derived))
        case WatchdogFired() if view.status is Status.RUNNING and view.past_deadline:
            return Decision(Status.STOPPING, Announcement.WITHDRAWAL)
        case WatchdogFired() if view.status is not Status.RUNNING and view.past_patience:
            return Decision(Status.PARKED)
        case WatchdogFired():
            return Decision(send=choose_announcement(view.status))
    return IGNORE


def choose_announcement(status: Status) -> Announcement:
    """Return what is announced again of an order with this status."""
    return Announcement.WITHDRAWAL if status is Status.STOPPING else Announcement.ORDER
