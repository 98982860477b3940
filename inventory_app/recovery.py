"""Recovery of inventory: the order service's log says what was reserved, its copy of the catalogue what was sold.

No other service has books of the stock itself: opening stock and adjustments that were lost are a human's to repeat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from celery_config.common.services import ORCHESTRATOR
from celery_config.contracts.base import encode
from celery_config.contracts.inventory import CommitStock, ReserveStock, StockCommitted, StockReserved
from celery_config.copies.recovery import NewerRow, find_newer
from celery_config.erasure.recovery import recover_erasures
from celery_config.errors import Refused
from celery_config.messaging import epochs
from celery_config.messaging.recovery import Plan, Question, Repair
from celery_config.participant.recovery import (
    DONE,
    UNDONE,
    KnownFlow,
    LostRow,
    describe_rows,
    find_lost_rows,
    read_flows,
    read_rows,
    write_tombstones,
)
from inventory_app import domain, services
from inventory_app.domain import ProductData, ReservationState
from inventory_app.erasure import DATA_MAP
from inventory_app.models import Movement, Reservation

COMMANDS = (ReserveStock, CommitStock)
LOG, COPY = "the order service's log", "the order service's copy of the catalogue"


def make_plan() -> Plan:
    """Compare the order service's log and its copy of the catalogue with our rows.

    Raises:
        ServiceCallError: the order service does not answer.
    """
    plan = Plan()
    plan.add(*recover_erasures(DATA_MAP, ORCHESTRATOR))
    for row in find_newer("order", "catalogue_product", "product"):
        plan.add(recover_product(row))
    for flow in read_flows():
        if flow.find(ReserveStock):
            plan.add(*recover_reservation(flow))
    if plan.repairs or plan.questions or epochs.is_recovering():
        newest = Movement.objects.order_by("-id").first()
        since = f"since {newest.created_at:%Y-%m-%d %H:%M:%S} UTC" if newest else "ever"
        plan.add(
            Question("", f"opening stock and adjustments booked {since} are in no other books: repeat them")
        )
    return plan


def recover_product(row: NewerRow) -> Repair | Question:
    if row.values is None:
        return Question(
            row.key,
            f"product, deleted in version {row.version}, is here in version {row.ours}: delete it again",
        )
    product = ProductData(sku=row.key, **row.values)
    what = f"product: version {row.version}, here {row.ours or 'missing'}"
    return Repair(row.key, what, COPY, partial(write_product, product))


def write_product(product: ProductData, note: str) -> None:
    services.put_products(products=[product], by="recovery")


def recover_reservation(flow: KnownFlow) -> Iterator[Repair | Question]:
    """What is to be done about the stock of an order."""
    reservation = Reservation.objects.filter(order=flow.order).first()
    lost = find_lost_rows(flow, read_rows(flow))
    wanted = find_state(flow)
    if wanted is None:
        if lost:
            yield Repair(str(flow.order), describe_rows(lost), LOG, partial(write_tombstones, lost, COMMANDS))
        return
    if reservation is None and flow.decode_command(ReserveStock) is None:
        yield Question(str(flow.order), "its stock was reserved, and no service knows any more which")
    elif reservation is None or reservation.state == ReservationState.HELD != wanted or lost:
        recovery = ReservationRecovery(flow, wanted, lost)
        yield Repair(str(flow.order), recovery.describe(reservation), LOG, recovery.write)


def find_state(flow: KnownFlow) -> ReservationState | None:
    """What the log says of the order's reservation; None: it has none, as far as the log knows."""
    reserve, commit = flow.find(ReserveStock), flow.find(CommitStock)
    if commit and commit.logged == DONE:
        return ReservationState.COMMITTED
    if reserve is None or not reserve.was_done:
        return None
    return ReservationState.RELEASED if reserve.logged == UNDONE else ReservationState.HELD


@dataclass(frozen=True)
class ReservationRecovery:
    """Brings one order's reservation, the stock and its barrier rows to what the log says."""

    flow: KnownFlow
    wanted: ReservationState
    lost: list[LostRow]

    def describe(self, reservation: Reservation | None) -> str:
        rows = f"; {describe_rows(self.lost)}" if self.lost else ""
        return f"reservation {reservation.state if reservation else 'missing'} to {self.wanted}{rows}"

    def write(self, note: str) -> None:
        order = self.flow.order
        reservation = Reservation.objects.select_for_update().filter(order=order).first()
        if reservation is None:
            outcome = services.reserve_stock({order: self.flow.decode_command(ReserveStock).lines})[order]
            if isinstance(outcome, Refused):
                raise outcome
        if self.wanted is ReservationState.COMMITTED:
            services.commit_stock([order])
        elif self.wanted is ReservationState.RELEASED:
            services.release_stock([order])
        id = domain.reservation_id(order)
        replies: dict[str, Any] = {
            ReserveStock.wire_name(): (ReserveStock, StockReserved(reservation=id)),
            CommitStock.wire_name(): (CommitStock, StockCommitted(reservation=id)),
        }
        for row in self.lost:
            command, reply = replies[row.step.command]
            row.write(command, note, reply=encode(reply))
