"""What the payment service is asked to do. Every effect is at the provider: intent, call, result (rule 8)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from celery_config.contracts.base import decode, encode
from celery_config.contracts.payment import (
    AuthorizePayment,
    CapturePayment,
    ForgetPayer,
    PayerForgotten,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentRefunded,
    PaymentVoided,
    RefundPayment,
    VoidPayment,
)
from celery_config.errors import OutcomeUnknown, Refused
from celery_config.participant.choreography import register
from celery_config.participant.handlers import OneByOne, handles_one, handles_outside, register_fence
from payment_app import domain, selectors, services
from payment_app.domain import State
from payment_app.erasure import DATA_MAP
from payment_app.errors import IdempotencyKeyExpired, NoPayment, VoidImpossible
from payment_app.models import Payment
from payment_app.provider import gateway
from payment_app.services import Held
from payment_app.subscriptions import SUBSCRIPTIONS

register_fence("payment")
register(SUBSCRIPTIONS)


def key_outlived(request: dict[str, Any]) -> bool:
    """Whether the provider may have forgotten the key under which this stored request was first sent."""
    return timezone.now() - datetime.fromisoformat(request["asked_at"]) > domain.KEY_LASTS


def now() -> str:
    return timezone.now().isoformat()


@handles_outside(AuthorizePayment)
class Authorize:
    """Hold the orders' amounts."""

    def requests(self, commands: Sequence[AuthorizePayment]) -> list[dict[str, Any]]:
        paid = selectors.payments_of([command.order for command in commands])
        return [
            encode(command) | {"paid_already": command.order in paid, "asked_at": now()}
            for command in commands
        ]

    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        asked = decode(AuthorizePayment, request)
        domain.check_authorization(
            amount=asked.amount,
            currency=asked.currency,
            token=asked.payment_token,
            paid_already=request["paid_already"],
        )
        if key_outlived(request):
            for entry in gateway().find(asked.order):
                return {"provider_id": entry.provider_id}
        held = gateway().authorize(
            key=key,
            order=asked.order,
            amount=asked.amount,
            currency=asked.currency,
            token=asked.payment_token,
        )
        return {"provider_id": held.provider_id}

    def settle(self, answered: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[PaymentAuthorized]:
        payments = services.record_authorizations(
            *(
                Held(
                    order=UUID(request["order"]),
                    customer=UUID(request["customer"]),
                    amount=request["amount"],
                    currency=request["currency"],
                    provider_id=answer["provider_id"],
                )
                for request, answer in answered
            )
        )
        return [
            PaymentAuthorized(
                payment=payment.id,
                amount=payment.amount,
                currency=payment.currency,
                expires_at=payment.expires_at,
            )
            for payment in payments
        ]


@handles_outside(VoidPayment)
class Void(OneByOne):
    """Let the held money go. The barrier answers for a payment that never was; here there is one."""

    def request(self, command: VoidPayment) -> dict[str, Any]:
        payment = selectors.payment_of(command.order)
        if payment is None:
            raise NoPayment(f"order {command.order} has no payment to void, yet its authorization is on file")
        return {"order": str(command.order), "provider_id": payment.provider_id, "state": payment.state}

    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        if request["state"] == State.VOIDED:
            return {}
        try:
            gateway().void(key=key, provider_id=request["provider_id"])
        except Refused as refusal:
            # Voided by an earlier call, or expired there: what was asked for is so.
            if refusal.code != "already_voided":
                raise VoidImpossible(f"payment of order {request['order']}: {refusal}") from refusal
        return {}

    def settle_one(self, request: dict[str, Any], answer: dict[str, Any]) -> PaymentVoided:
        order = UUID(request["order"])
        services.record_void(order=order)
        return PaymentVoided(order=order)


@handles_outside(CapturePayment)
class Capture:
    """Take what is held. The last step that may be refused: its reasons are stored with the intent."""

    def requests(self, commands: Sequence[CapturePayment]) -> list[dict[str, Any]]:
        payments = selectors.payments_of([command.order for command in commands])
        return [self.request(command, payments.get(command.order)) for command in commands]

    def request(self, command: CapturePayment, payment: Payment | None) -> dict[str, Any]:
        return encode(command) | {
            "ours": str(payment.id) if payment else None,
            "state": payment.state if payment else None,
            "provider_id": payment.provider_id if payment else "",
            "amount": payment.amount if payment else 0,
            "currency": payment.currency if payment else "",
        }

    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        domain.check_capture(
            state=State(request["state"]) if request["state"] else None,
            ours=UUID(request["ours"]) if request["ours"] else None,
            asked=UUID(request["payment"]),
        )
        try:
            gateway().capture(key=key, provider_id=request["provider_id"], amount=request["amount"])
        except Refused as refusal:
            if refusal.code != "already_captured" or not self.was_ours(request):
                raise
        return {}

    def was_ours(self, request: dict[str, Any]) -> bool:
        """Whether the money was taken by this very capture, whose key the provider has forgotten since.

        Raises:
            Unknown: the provider's books do not show the capture yet.
        """
        entries = gateway().find(UUID(request["order"]))
        for entry in entries:
            if entry.provider_id == request["provider_id"] and entry.state == "captured":
                return bool(entry.captured == request["amount"])
        raise OutcomeUnknown(
            f"{request['provider_id']} is captured, says the provider; its books do not say it yet"
        )

    def settle(self, answered: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[PaymentCaptured]:
        amounts = {UUID(request["payment"]): int(request["amount"]) for request, _ in answered}
        services.record_captures(amounts)
        return [
            PaymentCaptured(payment=payment, captured_amount=amount) for payment, amount in amounts.items()
        ]


@handles_outside(RefundPayment)
class GiveBack(OneByOne):
    """Give captured money back: promised in our rows before the provider is asked (rule 23)."""

    def request(self, command: RefundPayment) -> dict[str, Any]:
        payment = selectors.payment_of(command.order)
        return encode(command) | {"provider_id": payment.provider_id if payment else "", "asked_at": now()}

    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        asked = decode(RefundPayment, request)
        services.promise_refund(
            refund=asked.refund,
            order=asked.order,
            amount=asked.refund_amount,
            currency=asked.currency,
            key=key,
        )
        if key_outlived(request):
            raise IdempotencyKeyExpired(
                f"refund {asked.refund} of order {asked.order}: is it in the provider's books?"
            )
        try:
            paid = gateway().refund(key=key, provider_id=request["provider_id"], amount=asked.refund_amount)
        except Refused as refusal:
            services.record_refund_declined(refund=asked.refund, code=refusal.code, reason=refusal.reason)
            raise
        return {"refund_id": paid.refund_id}

    def settle_one(self, request: dict[str, Any], answer: dict[str, Any]) -> PaymentRefunded:
        asked = decode(RefundPayment, request)
        services.record_refund_paid(refund=asked.refund, provider_id=answer["refund_id"])
        return PaymentRefunded(refund=asked.refund, refunded_amount=asked.refund_amount)


@handles_one(ForgetPayer)
def forget_payer(command: ForgetPayer) -> PayerForgotten:
    receipt = DATA_MAP.erase(command.customer, command.about)
    return PayerForgotten(erasure=command.erasure, rows=receipt.counts, at=receipt.at)
