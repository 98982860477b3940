"""Recovery of the order service: the other services' rows say which orders, refunds and customers it has lost.

What they prove is written: that an order was there, what was done for it, for which customer, and for how much in all.
What no other service has is a human's: the prices of its lines, and the key under which its client may send it again.
An order that has not ended is parked, and an operator decides by the verbs that there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from celery_config.common.services import PARTICIPANTS
from celery_config.contracts.base import decode, encode
from celery_config.contracts.payment import RefundPayment
from celery_config.contracts.values import Address
from celery_config.copies.recovery import NewerRow, find_newer
from celery_config.copies.registry import publications
from celery_config.copies.retirement import retire_rows
from celery_config.db.functions import Now
from celery_config.erasure.recovery import recover_erasures
from celery_config.erasure.tombstones import mark_erased
from celery_config.http.service_client import ServiceClient
from celery_config.messaging.recovery import Plan, Question, Repair
from celery_config.messaging.states import Action, Undo
from celery_config.saga.dsl import Saga, Step
from celery_config.saga.engine import clock, parking
from celery_config.saga.models import SagaInstance, SagaStep
from celery_config.saga.states import Status, StepState
from order_project import selectors
from order_project.addresses import KEPT_PARTS
from order_project.choreography.derivation import EVENTS_OF_STEPS
from order_project.domain import OrderStatus, PriceSource, RefundStatus
from order_project.erasure.data import DATA_MAP, erase_customer
from order_project.erasure.requests import lock_ended
from order_project.models import Choreography, Customer, Order, OrderLine, Refund, SeenEvent
from order_project.sagas.place_order import PlaceOrder

LISTS = {"payment": "/api/payments/", "inventory": "/api/reservations/", "shipment": "/api/shipments/"}
PAGE = 500
# Sagas begin in the order of their ids, but for what commits late.
MARGIN = timedelta(hours=1)
CAUSE = {"step": "", "code": "recovered", "reason": "recovered from the other services' books"}
RECORD_LOST = (
    "the record of the erasure is lost, with its receipts; if it had not reached every service, `./manage.py SERVICE"
    " recover` carries it out there"
)
BLANK_ADDRESS = dict.fromkeys(KEPT_PARTS, "")
Row = Mapping[str, Any]


@dataclass
class Found:
    """What the participants have of one order that is not here."""

    id: UUID
    saga: UUID | None = None
    rows: dict[str, Row] = field(default_factory=dict)
    """Payment, reservation and shipment, by service."""
    steps: dict[str, Row] = field(default_factory=dict)
    """Barrier rows, by step."""

    @property
    def payment(self) -> Row:
        return self.rows.get("payment", {})

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
        if states == {"payment": "captured", "inventory": "committed", "shipment": "dispatched"}:
            return Status.COMPLETED
        gone = {"payment": "voided", "inventory": "released", "shipment": "cancelled"}
        if all(state == gone[name] for name, state in states.items()):
            return Status.COMPENSATED
        return Status.PARKED

    @property
    def lines(self) -> dict[str, int]:
        return {line["sku"]: line["quantity"] for line in self.reservation.get("lines", ())}

    @property
    def created_at(self) -> datetime:
        return min(datetime.fromisoformat(row["created_at"]) for row in self.rows.values())


def make_plan() -> Plan:
    """Compare the participants' rows with ours.

    Raises:
        ServiceCallError: a service does not answer.
    """
    plan = Plan()
    plan.add(*recover_erasures(DATA_MAP, *PARTICIPANTS, find_needed=find_unended))
    for row in find_customers():
        plan.add(*recover_customer(row))
    orders = find_orders()
    barrier = list(read_barriers())
    join_barrier(orders, barrier)
    for found in orders.values():
        plan.add(*recover_order(found))
    plan.add(*recover_refunds(barrier))
    return plan


def find_unended(ids: Collection[UUID]) -> set[UUID]:
    """Those of the ids that name an order that has not ended here, its saga, or its customer."""
    orders = Order.objects.filter(Q(pk__in=ids) | Q(saga__in=ids) | Q(customer__in=ids))
    unended = orders.filter(status=OrderStatus.PLACED).values_list("pk", "saga", "customer")
    return {id for row in unended for id in row if id} & {*ids}


def find_orders() -> dict[UUID, Found]:
    """The orders that a participant has rows of, and we have not."""
    found: dict[UUID, Found] = {}
    for service, path in LISTS.items():
        for page in ServiceClient(service).get_pages(f"{path}?limit={PAGE}"):
            rows = {UUID(row["order"]): row for row in page}
            known = set(Order.objects.filter(pk__in=rows).values_list("pk", flat=True))
            for order in rows.keys() - known:
                found.setdefault(order, Found(order)).rows[service] = rows[order]
    return found


def read_barriers() -> Iterator[Row]:
    """The participants' barrier rows of sagas that began after our newest, and of choreographed orders."""
    newest = SagaInstance.objects.order_by("-pk").first()
    since = f"&began_since={(newest.started_at - MARGIN).isoformat()}".replace("+", "%2B") if newest else ""
    for service in PARTICIPANTS:
        for page in ServiceClient(service).get_pages(f"/api/barrier/?limit={PAGE}{since}"):
            for row in page:
                yield {**row, "service": service}


def join_barrier(orders: Mapping[UUID, Found], barrier: list[Row]) -> None:
    """Find each order's saga: a reply names the payment, reservation or shipment, a request at a provider the order."""
    owners = {row["id"]: order for order, found in orders.items() for row in found.rows.values()}
    sagas: dict[str, UUID] = {str(order): order for order in orders}  # a choreographed order is its own
    for row in barrier:
        named = [row.get("order"), *(row["reply"] or {}).values()]
        order = next((owners[each] for each in named if isinstance(each, str) and each in owners), None)
        if order is None and row.get("order") and UUID(row["order"]) in orders:
            order = UUID(row["order"])
        if order and row["step"] != "refund-payment":
            sagas.setdefault(row["saga"], order)
    for row in barrier:
        if (order := sagas.get(row["saga"])) and row["step"] != "refund-payment":
            orders[order].saga = UUID(row["saga"])
            orders[order].steps[row["step"]] = row


def recover_order(found: Found) -> Iterator[Repair | Question]:
    """What is to be done about one order that is not here."""
    what = "; ".join(f"{service}: {row['state']}" for service, row in found.rows.items())
    if found.saga is None:
        yield Question(str(found.id), f"an order that no service knows, {what}: no saga of it is found")
        return
    if not find_total(found):
        yield Question(str(found.id), f"an order that no service knows, {what}: what it costs is not known")
        return
    yield Repair(
        str(found.id),
        f"order, {found.status} ({what})",
        "the participants' rows",
        partial(write_order, found),
        leaves=describe_unproven(found),
    )


def describe_unproven(found: Found) -> str:
    """Say what no other service has of an order."""
    catalogue = selectors.read_catalogue(found.lines)
    today = sum(catalogue[sku].price * quantity for sku, quantity in found.lines.items() if sku in catalogue)
    prices = (
        ""
        if today == find_total(found)
        else f", and today its lines cost {today} instead of {find_total(found)}"
    )
    return (
        "its client's idempotency key is lost: the same request makes a second order; the prices of its lines are"
        f" today's{prices}; it has no invoice number"
    )


def find_total(found: Found) -> int:
    """What the order costs: the amount that payment holds or took; without one, what its lines cost today."""
    if found.payment:
        return int(found.payment["amount"])
    catalogue = selectors.read_catalogue(found.lines)
    return sum(catalogue[sku].price * quantity for sku, quantity in found.lines.items() if sku in catalogue)


def write_order(found: Found, note: str) -> None:
    customer = found.payment.get("customer")
    catalogue = selectors.read_catalogue(found.lines)
    status = {Status.COMPLETED: OrderStatus.CONFIRMED, Status.COMPENSATED: OrderStatus.CANCELLED}
    ended = found.status in status
    choreographed = found.saga == found.id
    address = encode(decode(Address, found.shipment or BLANK_ADDRESS))
    order = Order.objects.create(
        id=found.id,
        customer=Customer.objects.filter(pk=customer).first() if customer else None,
        status=status.get(found.status, OrderStatus.PLACED),
        currency=found.payment.get("currency") or next(iter(catalogue.values())).currency,
        total=find_total(found),
        weight_grams=found.shipment.get("weight_grams", 0),
        address=address,
        saga=None if choreographed else found.saga,
        tracking_number=found.shipment.get("tracking_number", "") if found.status is Status.COMPLETED else "",
        cancel_code=CAUSE["code"] if found.status is Status.COMPENSATED else "",
        cancel_reason=CAUSE["reason"] if found.status is Status.COMPENSATED else "",
        created_at=found.created_at,
        ended_at=Now() if ended else None,
    )
    OrderLine.objects.bulk_create(
        OrderLine(
            order=order,
            sku=sku,
            name=catalogue[sku].name if sku in catalogue else "",
            quantity=quantity,
            unit_price=catalogue[sku].price if sku in catalogue else 0,
            price_source=PriceSource.RECOVERED,
        )
        for sku, quantity in found.lines.items()
    )
    if choreographed:
        write_choreography(order, found, note)
    else:
        write_saga(order, found, note)


def make_data(order: Order, found: Found) -> dict[str, Any]:
    """What the flow was started with, as far as it is known: ids and amounts, which the steps that are left need."""
    return {
        "order": str(order.pk),
        "customer": found.payment.get("customer") or str(UUID(int=0)),
        "amount": order.total,
        "currency": order.currency,
        "payment_token": "",
        "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in found.lines.items()],
        "address": order.address,
        "weight_grams": order.weight_grams,
        "parcels": found.shipment.get("parcels", 0),
    }


def write_saga(order: Order, found: Found, note: str) -> None:
    saga, now = Saga.registry["place-order", settings.PLACE_ORDER_VERSION], clock.now()
    row = SagaInstance(
        id=found.saga,
        name=saga.name,
        version=saga.version,
        subject=str(order.pk),
        data=make_data(order, found),
        status=found.status,
        cause={} if found.status is Status.COMPLETED else CAUSE,
        deadline_at=now,
        since=now,
        started_at=found.created_at,
        ended_at=None if found.status is Status.PARKED else Now(),
    )
    if found.status is Status.PARKED:
        parking.park(row, note, "recovered", [])
    row.save(force_insert=True)
    SagaStep.objects.bulk_create(
        SagaStep(
            saga=row,
            name=step.name,
            position=position,
            kind=step.kind,
            command=step.command.wire_name(),
            logged=find_state(held := found.steps.get(step.name, {})),
            reply=held.get("reply") if held.get("action") == Action.DONE else None,
        )
        for position, step in enumerate(saga.steps)
    )


def find_state(held: Row) -> StepState:
    """What a barrier row says, as the saga log has it."""
    if held.get("undo") == Undo.DONE or held.get("action") == Action.TOMBSTONE:
        return StepState.UNDONE
    return {Action.DONE: StepState.DONE, Action.REFUSED: StepState.REFUSED}.get(
        held.get("action", ""), StepState.NOTHING
    )


def write_choreography(order: Order, found: Found, note: str) -> None:
    now = clock.now()
    row = Choreography(
        order=order,
        placed=make_data(order, found),
        status=found.status,
        cause={} if found.status is Status.COMPLETED else CAUSE,
        deadline_at=now,
        since=now,
    )
    if found.status is Status.PARKED:
        parking.park(row, note, "recovered", [])
    row.save(force_insert=True)
    seen = [kind for step in PlaceOrder.steps for kind in find_events(step, found)]
    SeenEvent.objects.bulk_create(
        SeenEvent(choreography=row, kind=kind, content={"order": str(order.pk)}) for kind in seen
    )


def find_events(step: Step, found: Found) -> tuple[str, ...]:
    """The events by which a step of a choreographed order is seen to be done or undone."""
    done, *undone = EVENTS_OF_STEPS[step.command]
    match find_state(found.steps.get(step.command.wire_name(), {})):
        case StepState.DONE:
            return (done,)
        case StepState.UNDONE:
            return tuple(undone)
    return ()


def recover_refunds(barrier: list[Row]) -> Iterator[Repair | Question]:
    """Refunds that payment has given back, and that are not here."""
    for row in barrier:
        if row["command"] != RefundPayment.wire_name() or not row["order"]:
            continue
        reply = row["reply"] or {}
        if row["action"] == Action.INTENT:
            yield Question(row["order"], "a refund is under way, and this service does not know it")
        elif row["action"] == Action.DONE and not Refund.objects.filter(pk=reply["refund"]).exists():
            what = f"refund of {reply['refunded_amount']}, paid"
            yield Repair(row["order"], what, "payment's rows", partial(write_refund, row))


def write_refund(row: Row, note: str) -> None:
    Refund.objects.create(
        id=row["reply"]["refund"],
        order_id=row["order"],
        amount=row["reply"]["refunded_amount"],
        reason=note[:200],
        status=RefundStatus.PAID,
        saga=row["saga"],
    )


def find_customers() -> list[dict[str, NewerRow]]:
    """What the copies of payment and shipment have of customers that changed since, by the service that has it."""
    found: dict[str, dict[str, NewerRow]] = defaultdict(dict)
    for service, copy in (("payment", "billing_customer"), ("shipment", "delivery_address")):
        for row in find_newer(service, copy, "customer"):
            found[row.key][service] = row
    return list(found.values())


def recover_customer(rows: dict[str, NewerRow]) -> Iterator[Repair | Question]:
    row = next(iter(rows.values()))
    if erased := [service for service, each in rows.items() if each.is_erased]:
        proof = f"the copies of {' and '.join(erased)}"
        yield Repair(row.key, "erase the customer", proof, partial(erase_again, row.key), leaves=RECORD_LOST)
    elif row.values is None:
        yield Question(row.key, "a customer who was deleted is here again: delete it again")
    elif len(rows) < 2 or len({each.version for each in rows.values()}) > 1:
        known = "; ".join(f"{service}: version {each.version}" for service, each in rows.items())
        yield Question(
            row.key, f"a customer changed, and the copies do not agree about the latest version: {known}"
        )
    else:
        values = {name: value for each in rows.values() for name, value in (each.values or {}).items()}
        what = f"customer: version {row.version}, here {row.ours or 'missing'}"
        yield Repair(
            row.key, what, "the copies of payment and shipment", partial(write_customer, row.key, values)
        )


def erase_again(key: str, note: str) -> None:
    """Erase a customer who is here again; where there is none, let none of this id come back.

    Raises:
        OrdersUnderWay: an order of this customer has not ended.
    """
    customer = Customer.objects.select_for_update().filter(pk=key).first()
    if customer:
        erase_customer(customer, lock_ended(customer))
    else:
        mark_erased([UUID(key)])
        retire_rows(publications["customer"], [UUID(key)])


def write_customer(key: str, values: Mapping[str, Any], note: str) -> None:
    customer = Customer.objects.filter(pk=key).first() or Customer(pk=UUID(key))
    for name, value in values.items():
        setattr(customer, name, value)
    customer.save()
