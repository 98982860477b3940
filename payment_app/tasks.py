"""The handlers of payment's commands: each effect at the provider is made exactly once (rule 8, effects outside)."""

from __future__ import annotations

from collections.abc import Sequence
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
from celery_config.errors import CallFailed, OutcomeUnknown, Refused
from celery_config.messaging.barrier.steps import OutsideStep
from celery_config.participant.choreography import register_subscriptions
from celery_config.participant.handlers import (
    Answered,
    OneByOne,
    handles_one,
    handles_outside,
)
from payment_app import domain, selectors, services
from payment_app.domain import State
from payment_app.erasure import DATA_MAP
from payment_app.errors import IdempotencyKeyExpired, NoPayment, VoidImpossible
from payment_app.gateways import gateway
from payment_app.gateways.currencies import check_payable, check_step, find_step
from payment_app.models import Payment
from payment_app.services import HeldAmount
from payment_app.subscriptions import SUBSCRIPTIONS

register_subscriptions(SUBSCRIPTIONS)


def asked_at() -> str:
    """What workers of the release before this one expect in a request that they repeat."""
    return timezone.now().isoformat()


def read_step(currency: str) -> int | None:
    """In which step the provider takes this currency, to be kept with the intent; None: it does not take it."""
    return find_step(gateway().currencies, currency)


def check_amount(request: dict[str, Any], amount: int, currency: str) -> None:
    """Check that the provider can count the amount, by the table of the moment in which the intent was opened.

    Raises:
        Refused: it cannot; no try was or will be sent.
        CallFailed: it can no more, or an older release opened the intent; a try before may have been sent.
    """
    if "step" in request:
        check_step(request["step"], amount, currency)
    try:
        check_payable(gateway().currencies, amount, currency)
    except Refused as refusal:
        raise CallFailed(refusal.code, f"{refusal.reason} It did when the call was begun.") from refusal


@handles_outside(AuthorizePayment)
class Authorize(OutsideStep):
    """Hold the orders' amounts."""

    private = ("payment_token",)

    def requests(self, commands: Sequence[AuthorizePayment]) -> list[dict[str, Any]]:
        paid = selectors.find_payments([command.order for command in commands])
        return [
            encode(command)
            | {
                "paid_already": command.order in paid,
                "asked_at": asked_at(),
                "step": read_step(command.currency),
            }
            for command in commands
        ]

    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        command = decode(AuthorizePayment, request)
        amount, currency, token = command.amount, command.currency, command.payment_token
        domain.check_authorization(
            amount=amount, currency=currency, token=token, paid_already=request["paid_already"]
        )
        check_amount(request, amount, currency)
        authorized = gateway().authorize(
            key=key, order=command.order, amount=amount, currency=currency, token=token
        )
        return {"provider_id": authorized.provider_id}

    def look_up(self, key: UUID, request: dict[str, Any]) -> dict[str, Any] | None:
        if not request["paid_already"]:
            for record in gateway().find_entries(UUID(request["order"])):
                return {"provider_id": record.provider_id}
        return None

    def settle(self, answered: Answered) -> list[PaymentAuthorized]:
        payments = services.record_authorizations(
            *(
                HeldAmount(
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
                payment=each.id, amount=each.amount, currency=each.currency, expires_at=each.expires_at
            )
            for each in payments
        ]


@handles_outside(VoidPayment)
class Void(OneByOne):
    """Release the held money. For an authorization that never ran, the barrier answers: it never comes here."""

    def request(self, command: VoidPayment) -> dict[str, Any]:
        payment = selectors.find_payment(command.order)
        if payment is None:
            raise NoPayment(f"order {command.order} has no payment to void, but its barrier says authorized")
        return {"order": str(command.order), "provider_id": payment.provider_id, "state": payment.state}

    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        if request["state"] == State.VOIDED:
            return {}
        try:
            gateway().void(key=key, provider_id=request["provider_id"])
        except Refused as refusal:
            # Voided by an earlier call, or expired at the provider: the money is released.
            if refusal.code != "already_voided":
                raise VoidImpossible(f"payment of order {request['order']}: {refusal}") from refusal
        return {}

    def settle_one(self, request: dict[str, Any], answer: dict[str, Any]) -> PaymentVoided:
        order = UUID(request["order"])
        services.record_void(order=order)
        return PaymentVoided(order=order)


@handles_outside(CapturePayment)
class Capture(OutsideStep):
    """Take the held money. What the decision needs is stored with the intent, so that a repeat decides alike."""

    def requests(self, commands: Sequence[CapturePayment]) -> list[dict[str, Any]]:
        payments = selectors.find_payments([command.order for command in commands])
        return [self.request(command, payments.get(command.order)) for command in commands]

    def request(self, command: CapturePayment, payment: Payment | None) -> dict[str, Any]:
        if payment is None:  # before an intent is opened: nothing of this capture is in doubt
            raise NoPayment(f"payment {command.payment} was authorized, and there is no such payment here")
        return encode(command) | {
            "ours": str(payment.id),
            "state": payment.state,
            "provider_id": payment.provider_id,
            "amount": payment.amount,
            "currency": payment.currency,
            # What is held was counted when it was authorized: a capture is never refused for its amount.
            "step": 1,
        }

    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        domain.check_capture(
            state=State(request["state"]) if request["state"] else None,
            ours=UUID(request["ours"]) if request["ours"] else None,
            named=UUID(request["payment"]),
        )
        check_amount(request, request["amount"], request["currency"])
        try:
            gateway().capture(
                key=key,
                provider_id=request["provider_id"],
                amount=request["amount"],
                currency=request["currency"],
            )
        except Refused as refusal:
            if refusal.code != "already_captured" or not self.is_captured_by_us(request):
                raise
        return {}

    def look_up(self, key: UUID, request: dict[str, Any]) -> None:
        """Nothing: money is taken once, whatever the key; the provider says that it was (`is_captured_by_us`)."""

    def is_captured_by_us(self, request: dict[str, Any]) -> bool:
        """Whether this capture took the money in an earlier call, whose key the provider has forgotten.

        Raises:
            OutcomeUnknown: the provider's records do not show the capture yet.
        """
        for record in gateway().find_entries(UUID(request["order"])):
            if record.provider_id == request["provider_id"] and record.state == "captured":
                return bool(record.captured == request["amount"])
        raise OutcomeUnknown(
            f"the provider says that {request['provider_id']} is captured, but its records do not show it yet"
        )

    def settle(self, answered: Answered) -> list[PaymentCaptured]:
        amounts = {UUID(request["payment"]): int(request["amount"]) for request, _ in answered}
        services.record_captures(amounts)
        return [PaymentCaptured(payment=id, captured_amount=amount) for id, amount in amounts.items()]


@handles_outside(RefundPayment)
class Refund(OneByOne):
    """Give captured money back; our rows set the amount aside before the provider is called (rule 23, refunds)."""

    def request(self, command: RefundPayment) -> dict[str, Any]:
        payment = selectors.find_payment(command.order)
        domain.check_captured(State(payment.state) if payment else None)
        provider_id = payment.provider_id if payment else ""
        return encode(command) | {
            "provider_id": provider_id,
            "asked_at": asked_at(),
            "step": read_step(command.currency),
        }

    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        command = self.reserve(key, request)
        try:
            check_amount(request, command.refund_amount, command.currency)
            refunded = gateway().refund(
                key=key,
                provider_id=request["provider_id"],
                amount=command.refund_amount,
                currency=command.currency,
            )
        except Refused as refusal:
            self.record_refusal(request, refusal)
            raise
        return {"refund_id": refunded.refund_id}

    def record_refusal(self, request: dict[str, Any], refusal: Refused) -> None:
        refund = decode(RefundPayment, request).refund
        services.record_refund_declined(refund=refund, code=refusal.code, reason=refusal.reason)

    def look_up(self, key: UUID, request: dict[str, Any]) -> dict[str, Any] | None:
        """
        Raises:
            IdempotencyKeyExpired: the provider's records show the sum of an order's refunds, and not each of them.
        """
        command = self.reserve(key, request)
        raise IdempotencyKeyExpired(
            f"refund {command.refund} of order {command.order}: do the provider's records show it?"
        )

    def reserve(self, key: UUID, request: dict[str, Any]) -> RefundPayment:
        command = decode(RefundPayment, request)
        services.reserve_refund(
            refund=command.refund,
            order=command.order,
            amount=command.refund_amount,
            currency=command.currency,
            key=key,
        )
        return command

    def settle_one(self, request: dict[str, Any], answer: dict[str, Any]) -> PaymentRefunded:
        command = decode(RefundPayment, request)
        services.record_refund_paid(refund=command.refund, provider_id=answer["refund_id"])
        return PaymentRefunded(refund=command.refund, refunded_amount=command.refund_amount)


@handles_one(ForgetPayer)
def forget_payer(command: ForgetPayer) -> PayerForgotten:
    receipt = DATA_MAP.erase(command.customer, command.about)
    return PayerForgotten(erasure=command.erasure, rows=receipt.counts, at=receipt.at)
