"""Recovery of payment: the provider's books say what became of the money, the order service's log for which step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.utils import timezone

from celery_config.common.services import ORCHESTRATOR
from celery_config.contracts.base import command_id, encode
from celery_config.contracts.payment import (
    AuthorizePayment,
    CapturePayment,
    PaymentAuthorized,
    PaymentCaptured,
    RefundPayment,
)
from celery_config.erasure.recovery import recover_erasures
from celery_config.messaging.recovery import Plan, Question, Repair
from celery_config.participant.recovery import (
    DONE,
    KnownFlow,
    LostRow,
    describe_rows,
    find_lost_fences,
    find_lost_rows,
    prove_row,
    read_flows,
    read_rows,
    write_tombstones,
)
from celery_config.reconciliation.source import find_orders_under_way
from payment_app import services
from payment_app.domain import State
from payment_app.erasure import DATA_MAP
from payment_app.gateways import gateway
from payment_app.gateways.base import AuthorizationRecord
from payment_app.models import Payment, Refund
from payment_app.services import HeldAmount

COMMANDS = (AuthorizePayment, CapturePayment)
BOOKS = "the provider's books and the order service's log"
ADVICE = {
    "authorized": "release it at the provider if no order stands behind it; it ends by itself after a week",
    "captured": "the money was taken: find the order, or give it back at the provider",
    "voided": "nothing is held; nothing is to do",
}


def make_plan() -> Plan:
    """Compare the provider's books, the order service's log and our rows.

    Raises:
        ServiceCallError: the order service does not answer.
        Refused, OutcomeUnknown, CallFailed: the provider cannot be read.
    """
    # Theirs before ours: what the provider did before this moment is in our rows by then, or its call is under way.
    books: dict[UUID | None, list[AuthorizationRecord]] = defaultdict(list)
    for record in gateway().list_entries():
        books[record.order].append(record)
    plan, known = Plan(), set[UUID]()
    plan.add(*recover_erasures(DATA_MAP, ORCHESTRATOR))
    under_way = find_orders_under_way()
    for flow in read_flows():
        known.add(flow.order)
        if flow.find(AuthorizePayment):
            plan.add(*recover_payment(flow, books.get(flow.order, []), is_open=flow.order in under_way))
        elif flow.find(RefundPayment):
            plan.add(*recover_refund(flow, books.get(flow.order, [])))
    plan.add(*find_strangers(books, known))
    return plan


def recover_payment(
    flow: KnownFlow, records: list[AuthorizationRecord], *, is_open: bool
) -> Iterator[Repair | Question]:
    """What is to be done about the payment of an order.

    Args:
        records: the provider's, of this order.
        is_open: our own call may be under way; if the order has not ended, its next message settles it.
    """
    payment = Payment.objects.filter(order=flow.order).first()
    rows = read_rows(flow)
    lost = [*find_lost_rows(flow, rows), *find_lost_fences(flow, rows, CapturePayment)]
    order, authorize = str(flow.order), flow.find(AuthorizePayment)
    assert authorize is not None
    if len(records) > 1:
        yield Question(order, f"the provider has {len(records)} authorizations: {describe(records)}")
        return
    if not records:
        if payment is None and authorize.was_done:
            yield Question(order, "its money was held, and neither we nor the provider know of it")
        elif lost and payment is None:
            yield Repair(
                order,
                describe_rows(lost),
                "the order service's log",
                partial(write_tombstones, lost, COMMANDS),
            )
        return
    (record,) = records
    if payment is None and (fault := find_mismatch(flow, record)):
        yield Question(order, f"{describe(records)}, yet {fault}: {ADVICE[record.state]}")
        return
    if payment is None or payment.state != record.state or lost:
        if is_open and payment is None and not lost:
            return
        recovery = PaymentRecovery(flow, record, lost)
        yield Repair(order, recovery.describe(payment), BOOKS, recovery.write)


def find_mismatch(flow: KnownFlow, record: AuthorizationRecord) -> str:
    """Say why the provider's record does not prove this order's payment; empty if it does."""
    command = flow.decode_command(AuthorizePayment)
    if command is None:
        return "the order service does not know any more what was asked"
    if (command.amount, command.currency) != (record.amount, record.currency):
        return f"the order asked for {command.amount} {command.currency}"
    return ""


@dataclass(frozen=True)
class PaymentRecovery:
    """Brings one order's payment, its ledger and its barrier rows to what the provider's record says."""

    flow: KnownFlow
    record: AuthorizationRecord
    lost: list[LostRow]

    def describe(self, payment: Payment | None) -> str:
        record, was = self.record, payment.state if payment else "missing"
        rows = f"; {describe_rows(self.lost)}" if self.lost else ""
        return (
            f"payment {was} to {record.state}, {record.amount} {record.currency}, {record.provider_id}{rows}"
        )

    def write(self, note: str) -> None:
        order, record = self.flow.order, self.record
        payment = Payment.objects.select_for_update().filter(order=order).first()
        if payment is None:
            command = self.flow.decode_command(AuthorizePayment)
            held = HeldAmount(
                order=order,
                customer=command.customer,
                amount=record.amount,
                currency=record.currency,
                provider_id=record.provider_id,
            )
            (payment,) = services.record_authorizations(held)
        if payment.state == State.AUTHORIZED and record.state == "captured":
            services.record_captures({payment.id: record.captured})
        elif payment.state == State.AUTHORIZED and record.state == "voided":
            services.record_void(order=order)
        self.write_rows(payment, note)

    def write_rows(self, payment: Payment, note: str) -> None:
        """Write what the log proves, and what the provider's record proves of a step that the log does not know."""
        rows = {row.step.command: row for row in self.lost}
        for command in (AuthorizePayment, CapturePayment):
            row = self.prove(command) or rows.get(command.wire_name())
            if row:
                row.write(
                    command,
                    note,
                    reply=self.make_reply(command, payment),
                    request=self.make_request(command, payment),
                )

    def prove(self, command: type[AuthorizePayment | CapturePayment]) -> LostRow | None:
        """The row of a step that the provider has carried out and the log does not know yet."""
        is_done = command is AuthorizePayment or self.record.state == "captured"
        return prove_row(self.flow, command) if is_done else None

    def make_reply(self, command: type[Any], payment: Payment) -> dict[str, Any]:
        if command is CapturePayment:
            return encode(PaymentCaptured(payment=payment.id, captured_amount=self.record.captured))
        return encode(
            PaymentAuthorized(
                payment=payment.id,
                amount=payment.amount,
                currency=payment.currency,
                expires_at=payment.expires_at,
            )
        )

    def make_request(self, command: type[Any], payment: Payment) -> dict[str, Any]:
        """What was asked at the provider, as far as a webhook compares it."""
        sent = self.flow.decode_command(command)
        asked = encode(sent) if sent else {"order": str(self.flow.order)}
        if command is AuthorizePayment:
            return asked | {"paid_already": False, "asked_at": timezone.now().isoformat()}
        return asked | {
            "ours": str(payment.id),
            "state": State.AUTHORIZED.value,
            "provider_id": payment.provider_id,
            "amount": payment.amount,
            "currency": payment.currency,
        }


def recover_refund(flow: KnownFlow, records: list[AuthorizationRecord]) -> Iterator[Repair | Question]:
    """What is to be done about a refund that the order service knows to be paid."""
    step = flow.find(RefundPayment)
    if step is None or step.logged != DONE:
        return
    lost, order = find_lost_rows(flow, read_rows(flow)), str(flow.order)
    payment = Payment.objects.filter(order=flow.order).first()
    command = flow.decode_command(RefundPayment)
    if not lost or command is None:
        return
    refunded = sum(record.refunded for record in records)
    missing = not Refund.objects.filter(pk=command.refund).exists()
    if missing and refunded - (payment.refunded if payment else 0) < command.refund_amount:
        yield Question(
            order,
            f"a refund of {command.refund_amount} was paid; the provider's books show {refunded} given back in all,"
            f" and ours {payment.refunded if payment else 0}",
        )
        return
    what = f"refund of {command.refund_amount} {command.currency}"
    yield Repair(order, what, BOOKS, partial(write_refund, lost[0], command))


def write_refund(row: LostRow, command: RefundPayment, note: str) -> None:
    services.reserve_refund(
        refund=command.refund,
        order=command.order,
        amount=command.refund_amount,
        currency=command.currency,
        key=command_id(row.flow.saga, row.step.step, "do"),
    )
    if not Refund.objects.filter(pk=command.refund, outcome__isnull=False).exists():
        # The provider's own name of it was lost; its books show the sum.
        services.record_refund_paid(refund=command.refund, provider_id=f"recovered {command.refund}")
    row.write(RefundPayment, note, request=encode(command))


def find_strangers(
    books: dict[UUID | None, list[AuthorizationRecord]], known: set[UUID]
) -> Iterator[Question]:
    """What the provider holds or took for orders that neither the order service nor we know."""
    ours = set(Payment.objects.values_list("provider_id", flat=True))
    for order, records in books.items():
        for record in records:
            if record.provider_id not in ours and (order is None or order not in known):
                whose = "no order of ours" if order is None else "the order service knows no such order"
                yield Question(str(order or ""), f"{describe([record])}; {whose}: {ADVICE[record.state]}")


def describe(records: list[AuthorizationRecord]) -> str:
    return "; ".join(
        f"{each.provider_id} {each.state}, {each.amount} {each.currency}, captured {each.captured}"
        for each in records
    )
