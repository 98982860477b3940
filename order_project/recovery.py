"""Recovery of the order service: the other services' rows say which orders, refunds and customers it has lost.

What they prove is written: that an order was there, what was done for it or refused, for which customer, and for how
much in all. What no other service has is a human's: the prices of its lines, at times the lines themselves, and the key
under which its client may send it again. An order that has not ended is parked, and an operator decides by the verbs
that there are. What is named by a participant and cannot be written is listed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from celery_config.common.identifiers import parse_uuid
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
from celery_config.messaging.recovery import Plan, Question, Repair
from celery_config.messaging.states import Action, Undo
from celery_config.saga.causes import CauseKind
from celery_config.saga.dsl import Saga, Step
from celery_config.saga.engine import clock, parking
from celery_config.saga.models import SagaInstance, SagaStep
from celery_config.saga.states import Status, StepState
from celery_config.saga.sums.writing import sum_again
from order_project import lost_lines, selectors
from order_project.addresses import KEPT_PARTS
from order_project.choreography.derivation import EVENTS_OF_REFUSALS, EVENTS_OF_STEPS
from order_project.domain import OrderStatus, PriceSource, RefundStatus
from order_project.erasure.data import DATA_MAP, erase_customer
from order_project.erasure.requests import lock_ended
from order_project.lost_lines import LINES_LOST
from order_project.lost_orders import LostOrder, Row, describe_step, describe_steps, find_lost, read_barriers
from order_project.models import Choreography, Customer, Order, OrderLine, Refund, SeenEvent
from order_project.sagas.place_order import PlaceOrder

CAUSE = {"step": "", "code": "recovered", "reason": "recovered from the other services' books"}
RECORD_LOST = (
    "the record of the erasure is lost, with its receipts; if it had not reached every service, ./manage.py SERVICE"
    " recover carries it out there"
)
BLANK_ADDRESS = dict.fromkeys(KEPT_PARTS, "")


def make_plan() -> Plan:
    """Compare the participants' rows with ours.

    Raises:
        ServiceCallError: a service does not answer.
    """
    plan = Plan()
    plan.add(*recover_erasures(DATA_MAP, *PARTICIPANTS, find_needed=find_unended))
    for row in find_customers():
        plan.add(*recover_customer(row))
    barrier = list(read_barriers())
    lost = find_lost(barrier)
    for found in lost.orders.values():
        plan.add(*recover_order(found))
    for saga, rows in lost.sagas.items():
        what = f"a saga that is lost here, and its order cannot be told: {describe_steps(rows)}"
        plan.add(Question(str(saga), what))
    plan.add(*recover_refunds(barrier))
    return plan


def find_unended(ids: Collection[UUID]) -> set[UUID]:
    """Those of the ids that name an order that has not ended here, its saga, or its customer."""
    orders = Order.objects.filter(Q(pk__in=ids) | Q(saga__in=ids) | Q(customer__in=ids))
    unended = orders.filter(status=OrderStatus.PLACED).values_list("pk", "saga", "customer")
    return {id for row in unended for id in row if id} & {*ids}


def recover_order(found: LostOrder) -> Iterator[Repair | Question]:
    """What is to be done about one order that is not here."""
    if found.saga is None:
        yield Question(str(found.id), f"an order that is lost here ({found}): no saga of it is found")
        return
    if not find_total(found) or not find_currency(found):
        yield Question(str(found.id), f"an order that is lost here ({found}): what it costs is not known")
        return
    yield Repair(
        str(found.id),
        f"order, {found.status} ({found})",
        "the participants' rows",
        partial(write_order, found),
        leaves=describe_unproven(found),
    )


def describe_unproven(found: LostOrder) -> str:
    """Say what no other service has of an order."""
    if not found.lines:
        return f"its client's idempotency key is lost: the same request makes a second order; {LINES_LOST}"
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


def find_total(found: LostOrder) -> int:
    """What the order costs: the amount that payment holds, took or was asked for; else what its lines cost today."""
    if amount := found.payment.get("amount"):
        return int(amount)
    catalogue = selectors.read_catalogue(found.lines)
    return sum(catalogue[sku].price * quantity for sku, quantity in found.lines.items() if sku in catalogue)


def find_currency(found: LostOrder) -> str:
    catalogue = selectors.read_catalogue(found.lines)
    return str(found.payment.get("currency") or next((each.currency for each in catalogue.values()), ""))


def find_cause(found: LostOrder) -> dict[str, str]:
    """Why the order was undone: what a participant refused, as its barrier holds it."""
    row = found.refused
    if found.status is Status.COMPLETED:
        return {}
    if row is None:
        return CAUSE
    event = EVENTS_OF_REFUSALS.get(row["step"], row["step"])
    return {"step": event, "code": row["reply"]["code"], "reason": row["reply"]["reason"]}


def write_order(found: LostOrder, note: str) -> None:
    customer = parse_uuid(found.payment.get("customer") or "")
    catalogue = selectors.read_catalogue(found.lines)
    status = {Status.COMPLETED: OrderStatus.CONFIRMED, Status.COMPENSATED: OrderStatus.CANCELLED}
    ended = found.status in status
    cause = find_cause(found)
    address = encode(decode(Address, found.shipment or BLANK_ADDRESS))
    order = Order.objects.create(
        id=found.id,
        customer=Customer.objects.filter(pk=customer).first() if customer else None,
        status=status.get(found.status, OrderStatus.PLACED),
        currency=find_currency(found),
        total=find_total(found),
        weight_grams=found.shipment.get("weight_grams", 0),
        address=address,
        saga=None if found.is_choreographed else found.saga,
        tracking_number=found.shipment.get("tracking_number", "") if found.status is Status.COMPLETED else "",
        cancel_code=cause["code"] if found.status is Status.COMPENSATED else "",
        cancel_reason=cause["reason"] if found.status is Status.COMPENSATED else "",
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
    row = (write_choreography if found.is_choreographed else write_saga)(order, found, note)
    sum_again(found.created_at)
    lost_lines.record_recovery(row, note, lines_lost=not found.lines)


def make_data(order: Order, found: LostOrder) -> dict[str, Any]:
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


def write_saga(order: Order, found: LostOrder, note: str) -> SagaInstance:
    saga, now = Saga.registry["place-order", settings.PLACE_ORDER_VERSION], clock.now()
    row = SagaInstance(
        id=found.saga,
        name=saga.name,
        version=saga.version,
        subject=str(order.pk),
        data=make_data(order, found),
        status=found.status,
        cause=find_cause(found),
        deadline_at=now,
        since=now,
        started_at=found.created_at,
        ended_at=None if found.status is Status.PARKED else Now(),
    )
    if found.status is Status.PARKED:
        parking.park(row, note, CauseKind.RECOVERED, [])
    row.save(force_insert=True)
    SagaStep.objects.bulk_create(
        SagaStep(
            saga=row,
            name=step.name,
            position=position,
            kind=step.kind,
            command=step.command.wire_name(),
            logged=find_state(held := found.steps.get(step.command.wire_name(), {})),
            reply=held.get("reply") if held.get("action") == Action.DONE else None,
            refusal=held.get("reply") if held.get("action") == Action.REFUSED else None,
        )
        for position, step in enumerate(saga.steps)
    )
    return row


def find_state(held: Row) -> StepState:
    """What a barrier row says, as the saga log has it."""
    if held.get("undo") == Undo.DONE or held.get("action") == Action.TOMBSTONE:
        return StepState.UNDONE
    return {Action.DONE: StepState.DONE, Action.REFUSED: StepState.REFUSED}.get(
        held.get("action", ""), StepState.NOTHING
    )


def write_choreography(order: Order, found: LostOrder, note: str) -> Choreography:
    now = clock.now()
    row = Choreography(
        order=order,
        placed=make_data(order, found),
        status=found.status,
        cause=find_cause(found),
        deadline_at=now,
        since=now,
    )
    if found.status is Status.PARKED:
        parking.park(row, note, CauseKind.RECOVERED, [])
    row.save(force_insert=True)
    seen = [kind for step in PlaceOrder.steps for kind in find_events(step, found)]
    of, cause = {"order": str(order.pk)}, row.cause
    SeenEvent.objects.bulk_create(
        SeenEvent(choreography=row, kind=kind, content=of | (cause if kind == cause.get("step") else {}))
        for kind in seen
    )
    return row


def find_events(step: Step, found: LostOrder) -> tuple[str, ...]:
    """The events by which a step of a choreographed order is seen to be done, refused or undone."""
    done, *undone = EVENTS_OF_STEPS[step.command]
    name = step.command.wire_name()
    match find_state(found.steps.get(name, {})):
        case StepState.REFUSED if name in EVENTS_OF_REFUSALS:
            return (EVENTS_OF_REFUSALS[name],)
        case StepState.DONE:
            return (done,)
        case StepState.UNDONE:
            return tuple(undone)
    return ()


def recover_refunds(barrier: list[Row]) -> Iterator[Repair | Question]:
    """Refunds that payment has given back or refused, or has begun, and that are not here."""
    rows = [row for row in barrier if row["command"] == RefundPayment.wire_name()]
    known = {
        str(saga)
        for saga in Refund.objects.values_list("saga", flat=True).filter(saga__in=[r["saga"] for r in rows])
    }
    for row in rows:
        if row["saga"] in known:
            continue
        subject, asked, reply = row["order"] or row["saga"], row.get("asked") or {}, row["reply"] or {}
        refund, amount = reply.get("refund") or asked.get("refund"), asked.get("refund_amount")
        if row["action"] == Action.DONE:
            paid = partial(write_refund, row, refund, reply["refunded_amount"], RefundStatus.PAID)
            yield Repair(subject, f"refund of {reply['refunded_amount']}, paid", "payment's rows", paid)
        elif row["action"] == Action.REFUSED and refund and amount:
            refused = partial(write_refund, row, refund, amount, RefundStatus.REFUSED)
            what = f"refund of {amount}, refused: {reply['code']}"
            yield Repair(subject, what, "payment's barrier", refused)
        else:
            yield Question(subject, f"a refund that this service does not know: {describe_step(row)}")


def write_refund(row: Row, refund: Any, amount: int, status: RefundStatus, note: str) -> None:
    Refund.objects.create(
        id=refund,
        order_id=row["order"],
        amount=amount,
        reason=note[:200],
        status=status,
        detail=row["reply"]["reason"][:500] if status is RefundStatus.REFUSED else "",
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
