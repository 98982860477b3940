"""Lost orders: what the participants have of orders that the restored database of the order service does not know.

Their rows name an order, and each barrier row names a saga: also of an order that was refused, and has left no other
row. Which order that was says the request of a step at a provider, a reply, or the event of a step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from celery_config.common.identifiers import parse_uuid
from celery_config.common.services import PARTICIPANTS
from celery_config.http.service_client import ServiceClient
from celery_config.messaging.models import Epoch
from celery_config.messaging.states import Action, Undo
from celery_config.saga.dsl import Saga, StepKind
from celery_config.saga.models import SagaInstance
from celery_config.saga.states import Status
from order_project.lost_lines import RECOVER
from order_project.models import Order
from order_project.sagas.place_order import PlaceOrder

LISTS = {"payment": "/api/payments/", "inventory": "/api/reservations/", "shipment": "/api/shipments/"}
PAGE = 500
# Sagas begin in the order of their ids, but for what commits late.
MARGIN = timedelta(hours=1)
COMPLETED = {"payment": "captured", "inventory": "committed", "shipment": "dispatched"}
GONE = {"payment": "voided", "inventory": "released", "shipment": "cancelled"}
COMMANDS: dict[str, str] = {step.name: str(step.command.wire_name()) for step in PlaceOrder.steps}
"""By the step's name in a saga. In a choreographed order the command's name is the step's, too."""
COMPENSATABLE = {COMMANDS[step.name] for step in PlaceOrder.steps if step.kind is StepKind.COMPENSATABLE}
Row = Mapping[str, Any]


@dataclass
class LostOrder:
    """What the participants have of one order that is not here."""

    id: UUID
    saga: UUID | None = None
    rows: dict[str, Row] = field(default_factory=dict)
    """Payment, reservation and shipment, by service."""
    steps: dict[str, Row] = field(default_factory=dict)
    """Barrier rows, by the command of the step."""

    @property
    def payment(self) -> Row:
        """What payment holds or took, else what it was asked for."""
        return self.rows.get("payment") or next(
            (row["asked"] for row in self.steps.values() if row.get("asked")), {}
        )

    @property
    def reservation(self) -> Row:
        return self.rows.get("inventory", {})

    @property
    def shipment(self) -> Row:
        return self.rows.get("shipment", {})

    @property
    def status(self) -> Status:
        """What the order has come to; parked if somebody must decide how it goes on."""
        states = {name: row["state"] for name, row in self.rows.items()}
        if states == COMPLETED:
            return Status.COMPLETED
        if all(state == GONE[name] for name, state in states.items()) and self.cannot_go_on:
            return Status.COMPENSATED
        return Status.PARKED

    @property
    def cannot_go_on(self) -> bool:
        """Whether no step is live or in doubt, and none can begin: one was refused, or all are closed."""
        rows = self.steps.values()
        if any(row["action"] == Action.INTENT or row["undo"] == Undo.INTENT for row in rows):
            return False
        if any(row["action"] == Action.DONE and row["undo"] != Undo.DONE for row in rows):
            return False
        return bool(self.refused) or self.steps.keys() >= COMPENSATABLE

    @property
    def refused(self) -> Row | None:
        """The barrier row of the step that a participant refused."""
        found = {command: row for command, row in self.steps.items() if row["action"] == Action.REFUSED}
        return next((found[command] for command in COMMANDS.values() if command in found), None)

    @property
    def lines(self) -> dict[str, int]:
        return {line["sku"]: line["quantity"] for line in self.reservation.get("lines", ())}

    @property
    def created_at(self) -> datetime:
        rows = [*self.rows.values(), *self.steps.values()]
        times = [datetime.fromisoformat(row["created_at"]) for row in rows if row.get("created_at")]
        return min(times)

    @property
    def is_choreographed(self) -> bool:
        return self.saga == self.id

    def __str__(self) -> str:
        rows = [f"{service}: {row['state']}" for service, row in self.rows.items()]
        return "; ".join(rows) or describe_steps(self.steps.values())


@dataclass
class Lost:
    """What is not here: orders, and sagas of which nothing says which order they carried."""

    orders: dict[UUID, LostOrder]
    sagas: dict[UUID, list[Row]]


def describe_steps(rows: Iterable[Row]) -> str:
    return "; ".join(f"{row['step']}: {describe_step(row)}" for row in rows)


def describe_step(row: Row) -> str:
    match row["action"]:
        case Action.TOMBSTONE:
            return "never to run"
        case Action.INTENT:
            return "begun, its outcome is not known"
        case Action.REFUSED:
            return f"refused, {row['reply']['code']}"
    return "undone" if row["undo"] == Undo.DONE else "done"


def find_lost(barrier: Iterable[Row]) -> Lost:
    """The orders that a participant has anything of, and we have not.

    Raises:
        ServiceCallError: a service does not answer.
    """
    orders = find_rows()
    sagas = find_unknown_sagas(barrier)
    owners = find_owners(orders, sagas)
    for saga, order in owners.items():
        lost = orders.setdefault(order, LostOrder(order))
        lost.saga = saga
        for row in sagas[saga]:
            name = str(row["step"])
            lost.steps[COMMANDS.get(name, name)] = row
    return Lost(orders, {saga: rows for saga, rows in sagas.items() if saga not in owners})


def find_rows() -> dict[UUID, LostOrder]:
    """The orders that a participant has rows of, and we have not."""
    found: dict[UUID, LostOrder] = {}
    for service, path in LISTS.items():
        for page in ServiceClient(service).get_pages(f"{path}?limit={PAGE}"):
            rows = {UUID(row["order"]): row for row in page}
            for order in rows.keys() - find_known(rows):
                found.setdefault(order, LostOrder(order)).rows[service] = rows[order]
    return found


def find_known(ids: Collection[UUID]) -> set[UUID]:
    return set(Order.objects.filter(pk__in=ids).values_list("pk", flat=True))


def read_barriers() -> Iterator[Row]:
    """The participants' barrier rows of sagas, and of choreographed orders, that began after the backup's newest."""
    newest = find_newest_of_backup()
    since = f"&began_since={(newest.started_at - MARGIN).isoformat()}".replace("+", "%2B") if newest else ""
    for service in PARTICIPANTS:
        for page in ServiceClient(service).get_pages(f"/api/barrier/?limit={PAGE}{since}"):
            for row in page:
                yield {**row, "service": service}


def find_newest_of_backup() -> SagaInstance | None:
    """Our newest saga that neither a recovery wrote nor a client began since the database was restored.

    Else what a recovery leaves unwritten would not be found by its next look.
    """
    epoch = Epoch.objects.exclude(why="").first()
    rows = SagaInstance.objects.exclude(operator_actions__verb=RECOVER)
    return (rows.filter(started_at__lt=epoch.began_at) if epoch else rows).order_by("-pk").first()


def find_unknown_sagas(barrier: Iterable[Row]) -> dict[UUID, list[Row]]:
    """The barrier rows of orders' sagas that are not here, and of choreographed orders that are not; by saga."""
    others = {
        step.name for saga in Saga.registry.values() if saga.name != PlaceOrder.name for step in saga.steps
    }
    found: dict[UUID, list[Row]] = defaultdict(list)
    for row in barrier:
        if row["step"] not in others:
            found[UUID(row["saga"])].append(row)
    known = find_known(found) | set(SagaInstance.objects.filter(pk__in=found).values_list("pk", flat=True))
    return {saga: rows for saga, rows in found.items() if saga not in known}


def find_owners(orders: Mapping[UUID, LostOrder], sagas: Mapping[UUID, list[Row]]) -> dict[UUID, UUID]:
    """The order of each saga, as far as a request, a reply or an event names it."""
    ids = {row["id"]: order for order, lost in orders.items() for row in lost.rows.values()}
    owners = {saga: order for saga, rows in sagas.items() if (order := find_owner(saga, rows, ids))}
    if nameless := sagas.keys() - owners.keys():
        owners |= read_subjects(nameless)
    here = find_known([*owners.values()])
    return {saga: order for saga, order in owners.items() if order not in here}


def find_owner(saga: UUID, rows: Iterable[Row], ids: Mapping[str, UUID]) -> UUID | None:
    for row in rows:
        if row["step"] in COMMANDS.values():  # a choreographed order is its own saga
            return saga
        replied = [each for each in (row["reply"] or {}).values() if isinstance(each, str)]
        if named := next((ids[each] for each in replied if each in ids), None) or parse_uuid(
            row.get("order") or ""
        ):
            return named
    return None


def read_subjects(sagas: Collection[UUID]) -> dict[UUID, UUID]:
    """What the events of these sagas' steps are about: the order. All events that are kept are read."""
    wanted, found = {str(saga) for saga in sagas}, dict[UUID, UUID]()
    for service in PARTICIPANTS:
        for event in read_events(service):
            if event.get("saga") in wanted and (order := parse_uuid(str(event.get("subject", "")))):
                found[UUID(event["saga"])] = order
    return found


def read_events(service: str) -> Iterator[Row]:
    client, after, more = ServiceClient(service), "", True
    while more:
        page = client.get(f"/api/events/?after={after}")
        for each in page["events"]:
            yield each["event"]
            after = each["cursor"]
        more = page["more"]
