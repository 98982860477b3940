"""Recovery of shipment: the carrier's books say what became of the parcels, the order service's log for which step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from celery_config.common.services import ORCHESTRATOR
from celery_config.contracts.base import encode
from celery_config.contracts.shipment import (
    BookShipment,
    DispatchShipment,
    ShipmentBooked,
    ShipmentDispatched,
)
from celery_config.erasure.recovery import recover_erasures
from celery_config.messaging.recovery import Plan, Question, Repair
from celery_config.participant.recovery import (
    KnownFlow,
    LostRow,
    describe_rows,
    find_lost_rows,
    prove_row,
    read_flows,
    read_rows,
    write_tombstones,
)
from celery_config.reconciliation.source import find_orders_under_way
from shipment_app import services
from shipment_app.carriers import Booked, carrier
from shipment_app.carriers.base import ShipmentRecord
from shipment_app.domain import ShipmentState
from shipment_app.erasure import DATA_MAP
from shipment_app.models import Shipment
from shipment_app.services import Booking

COMMANDS = (BookShipment, DispatchShipment)
BOOKS = "the carrier's books and the order service's log"
ADVICE = {
    "booked": "cancel it at the carrier if no order stands behind it",
    "dispatched": "the parcel has left: find the order, or ask the carrier to return it",
    "cancelled": "nothing is to do",
}


def make_plan() -> Plan:
    """Compare the carrier's books, the order service's log and our rows.

    Raises:
        ServiceCallError: the order service does not answer.
        Refused, OutcomeUnknown, CallFailed: the carrier cannot be read.
    """
    books: dict[UUID | None, list[ShipmentRecord]] = defaultdict(list)
    for record in carrier().list_entries():
        books[record.order].append(record)
    plan, known = Plan(), set[UUID]()
    plan.add(*recover_erasures(DATA_MAP, ORCHESTRATOR))
    under_way = find_orders_under_way()
    for flow in read_flows():
        known.add(flow.order)
        if flow.find(BookShipment):
            plan.add(*recover_shipment(flow, books.get(flow.order, []), is_open=flow.order in under_way))
    plan.add(*find_strangers(books, known))
    return plan


def recover_shipment(
    flow: KnownFlow, records: list[ShipmentRecord], *, is_open: bool
) -> Iterator[Repair | Question]:
    """What is to be done about the shipment of an order.

    Args:
        records: the carrier's, of this order.
        is_open: our own call may be under way; if the order has not ended, its next message settles it.
    """
    shipment = Shipment.objects.filter(order=flow.order).first()
    lost, order = find_lost_rows(flow, read_rows(flow)), str(flow.order)
    book = flow.find(BookShipment)
    assert book is not None
    if len(records) > 1:
        yield Question(order, f"the carrier has {len(records)} shipments: {describe(records)}")
        return
    if not records:
        if shipment is None and book.was_done:
            yield Question(order, "its shipment was booked, and neither we nor the carrier know of it")
        elif lost and shipment is None:
            yield Repair(
                order,
                describe_rows(lost),
                "the order service's log",
                partial(write_tombstones, lost, COMMANDS),
            )
        return
    (record,) = records
    if shipment is None and (fault := find_mismatch(flow, record)):
        yield Question(order, f"{describe(records)}, yet {fault}: {ADVICE[record.state]}")
        return
    if shipment is None or shipment.state != record.state or lost:
        if is_open and shipment is None and not lost:
            return
        recovery = ShipmentRecovery(flow, record, lost)
        yield Repair(order, recovery.describe(shipment), BOOKS, recovery.write)


def find_mismatch(flow: KnownFlow, record: ShipmentRecord) -> str:
    """Say why the carrier's record does not prove this order's shipment; empty if it does."""
    command = flow.decode_command(BookShipment)
    if command is None:
        return "the order service does not know any more what was asked"
    if (command.weight_grams, command.parcels) != (record.weight_grams, record.parcels):
        return f"the order asked for {command.weight_grams} g in {command.parcels} parcels"
    return ""


@dataclass(frozen=True)
class ShipmentRecovery:
    """Brings one order's shipment and its barrier rows to what the carrier's record says."""

    flow: KnownFlow
    record: ShipmentRecord
    lost: list[LostRow]

    def describe(self, shipment: Shipment | None) -> str:
        was, rows = (
            shipment.state if shipment else "missing",
            f"; {describe_rows(self.lost)}" if self.lost else "",
        )
        return f"shipment {was} to {self.record.state}, {self.record.tracking_number}{rows}"

    def write(self, note: str) -> None:
        order, record = self.flow.order, self.record
        shipment = Shipment.objects.select_for_update().filter(order=order).first()
        if shipment is None:
            command = self.flow.decode_command(BookShipment)
            booked = Booked(carrier_id=record.carrier_id, tracking_number=record.tracking_number)
            booking = Booking(
                order=order,
                address=command.address,
                weight_grams=record.weight_grams,
                parcels=record.parcels,
                booked=booked,
            )
            (shipment,) = services.record_bookings(booking)
        if shipment.state == ShipmentState.BOOKED and record.state != "booked":
            services.end_shipments([order], ShipmentState(record.state))
        self.write_rows(shipment, note)

    def write_rows(self, shipment: Shipment, note: str) -> None:
        """Write what the log proves, and what the carrier's record proves of a step that the log does not know."""
        rows = {row.step.command: row for row in self.lost}
        replies: dict[Any, Any] = {
            BookShipment: ShipmentBooked(shipment=shipment.id, tracking_number=shipment.tracking_number),
            DispatchShipment: ShipmentDispatched(shipment=shipment.id),
        }
        for command, reply in replies.items():
            row = rows.get(command.wire_name()) or self.prove(command)
            if row:
                sent = self.flow.decode_command(command)
                asked = encode(sent) if sent else {"order": str(self.flow.order)}
                row.write(command, note, reply=encode(reply), request=asked)

    def prove(self, command: Any) -> LostRow | None:
        """The row of a step that the carrier has carried out and the log does not know yet."""
        is_done = command is BookShipment or self.record.state == "dispatched"
        return prove_row(self.flow, command) if is_done else None


def find_strangers(books: dict[UUID | None, list[ShipmentRecord]], known: set[UUID]) -> Iterator[Question]:
    """What the carrier has for orders that the order service does not know, and that we do not know either."""
    ours = set(Shipment.objects.values_list("carrier_id", flat=True))
    for order, records in books.items():
        for record in records:
            if record.carrier_id not in ours and (order is None or order not in known):
                whose = "no order of ours" if order is None else "the order service knows no such order"
                yield Question(str(order or ""), f"{describe([record])}; {whose}: {ADVICE[record.state]}")


def describe(records: list[ShipmentRecord]) -> str:
    return "; ".join(f"{each.carrier_id} {each.state}, {each.tracking_number}" for each in records)
