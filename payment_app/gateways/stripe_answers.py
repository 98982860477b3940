"""What Stripe's answers prove: done, not done, or not known, as tables.

An error becomes Refused (nothing was done), OutcomeUnknown (repeat the call with the same key) or CallFailed (this call
did nothing, an earlier one with its key may have).
Source: https://docs.stripe.com/api/errors, https://docs.stripe.com/error-low-level, https://docs.stripe.com/error-codes,
https://docs.stripe.com/declines/codes and https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import stripe

from celery_config.errors import CalledTooOften, CallFailed, CodedError, OutcomeUnknown, Refused, clean_text
from celery_config.http.json_client import read_retry_after
from payment_app.gateways.base import Operation


class Proof(StrEnum):
    """What an object that Stripe returned says of the call; in the table any other text is the code of a refusal."""

    DONE = "done"
    NOT_KNOWN = "not known"


# Of a PaymentIntent, or of a Refund; a status that is not here proves nothing.
STATUSES: dict[Operation, dict[str, str]] = {
    "authorize": {
        "requires_capture": Proof.DONE,
        # Later states of an amount that was held.
        "succeeded": Proof.DONE,
        "canceled": Proof.DONE,
        "processing": Proof.NOT_KNOWN,
        # "If the payment attempt fails (for example, due to a decline), the status returns to this."
        "requires_payment_method": "card_declined",
        "requires_confirmation": "card_declined",
        "requires_action": "authentication_required",
    },
    "capture": {
        "succeeded": Proof.DONE,
        "processing": Proof.NOT_KNOWN,
        "canceled": "already_voided",
        "requires_payment_method": "capture_failed",
    },
    "void": {"canceled": Proof.DONE, "processing": Proof.NOT_KNOWN, "succeeded": "already_captured"},
    "refund": {
        "succeeded": Proof.DONE,
        "pending": Proof.DONE,
        "requires_action": Proof.DONE,
        "failed": "refund_failed",
        "canceled": "refund_failed",
    },
}
# By the library's class, which it takes from status and type of the answer.
ERRORS: dict[type[stripe.StripeError], type[Exception]] = {
    stripe.CardError: Refused,  # 402: "the parameters were valid but the request failed"
    stripe.InvalidRequestError: Refused,  # 400, 404: "the request was unacceptable"
    stripe.IdempotencyError: CallFailed,  # 400: the key belongs to a call with other parameters, which did something
    stripe.AuthenticationError: CallFailed,  # 401, checked before the key
    stripe.PermissionError: CallFailed,  # 403, the same
    stripe.RateLimitError: CalledTooOften,  # 429, the same
    stripe.APIConnectionError: OutcomeUnknown,  # no answer, or a part of one
    stripe.APIError: OutcomeUnknown,  # 409 (a call with this key is under way), 424, 5xx, an unreadable answer
}
# Of an invalid request: Stripe's code, and ours. Every other one is `invalid_request`.
INVALID = {
    "amount_too_large": "amount_too_large",
    "amount_too_small": "amount_too_small",
    "charge_already_refunded": "amount_too_large",
    "payment_intent_unexpected_state": "unexpected_state",
}
# Of an invalid request without a code of its own: the parameter that Stripe names, and our code.
INVALID_PARAMETERS = {
    "currency": "currency_not_supported",
    "payment_method": "invalid_token",
    "payment_method_data[card][token]": "invalid_token",
}
# What the intent's status says of a call that came too late for it.
UNEXPECTED = {"succeeded": "already_captured", "canceled": "already_voided"}
# What a customer can understand or correct; every other decline is `card_declined`.
CARD_CODES = {
    "authentication_required", "card_declined", "card_decline_rate_limit_exceeded", "currency_not_supported",
    "expired_card", "incorrect_address", "incorrect_cvc", "incorrect_number", "incorrect_zip", "insufficient_funds",
    "invalid_cvc", "invalid_expiry_month", "invalid_expiry_year", "invalid_number", "processing_error",
}  # fmt: skip
NOT_FOUND = "resource_missing"


def check_status(operation: Operation, thing: stripe.PaymentIntent | stripe.Refund) -> None:
    """Return if Stripe's object proves that the call is done.

    Raises:
        Refused: it proves that nothing was done.
        OutcomeUnknown: it proves neither.
    """
    kind, name, status = (known_text(getattr(thing, part, None)) for part in ("object", "id", "status"))
    if not name:
        raise OutcomeUnknown(f"Stripe's answer to the {operation} call names nothing")
    says = f"{kind} {name} is {status or 'in no status'} at Stripe"
    proof = STATUSES[operation].get(status, Proof.NOT_KNOWN)
    if proof == Proof.NOT_KNOWN:
        raise OutcomeUnknown(f"{says}: the end of the {operation} call is not known yet")
    if proof != Proof.DONE:
        raise Refused(proof, describe_failure(thing) or says)


def describe_failure(thing: Any) -> str:
    error = getattr(thing, "last_payment_error", None)
    return clean_text(getattr(error, "message", None))


def translate_error(error: stripe.StripeError) -> Refused | OutcomeUnknown | CallFailed:
    """The error of a call as one of ours."""
    kind = next((ours for theirs, ours in ERRORS.items() if isinstance(error, theirs)), CallFailed)
    reason = clean_text(error.user_message, type(error).__name__)
    if kind is CalledTooOften:
        wait = read_retry_after(known_text((error.headers or {}).get("retry-after")))
        return CalledTooOften(f"answered {error.http_status}: {reason}", wait=wait)
    if kind is OutcomeUnknown:
        return OutcomeUnknown(f"answered {error.http_status}: {reason}" if error.http_status else reason)
    if kind is CallFailed or is_wrong_address(error):
        return CallFailed(known_text(error.code) or type(error).__name__, reason)
    if isinstance(error, stripe.CardError):
        return make_decline(getattr(error.error, "decline_code", None), error.code, error.user_message)
    return translate_invalid_request(error, reason)


def translate_read_error(error: stripe.StripeError) -> OutcomeUnknown | CallFailed:
    """The error of a request that only reads: it proves nothing of any call."""
    ours = translate_error(error)
    return CallFailed(ours.code, ours.reason) if isinstance(ours, CodedError) else ours


def translate_invalid_request(error: stripe.StripeError, reason: str) -> Refused | OutcomeUnknown:
    code, parameter = known_text(error.code), known_text(getattr(error, "param", None))
    status = known_text(getattr(getattr(error.error, "payment_intent", None), "status", None))
    if status == "processing":
        return OutcomeUnknown(f"an earlier call is being processed at Stripe: {reason}")
    if status in UNEXPECTED:
        return Refused(UNEXPECTED[status], reason)
    return Refused(INVALID.get(code) or INVALID_PARAMETERS.get(parameter, "invalid_request"), reason)


def is_wrong_address(error: stripe.StripeError) -> bool:
    """Whether the answer is a 404 about the address itself: it is not Stripe's API."""
    return bool(error.http_status == 404 and error.code != NOT_FOUND)


def is_replayed_fault(error: stripe.StripeError) -> bool:
    """Whether Stripe stored this 5xx under the key: then every repeat of the call gets it again.

    Source: https://docs.stripe.com/api/idempotent_requests (results are saved "including 500 errors").
    """
    status = error.http_status or 0
    return status >= 500 and (error.headers or {}).get("idempotent-replayed") == "true"


def make_decline(decline: object, code: object, message: object) -> Refused:
    """The refusal of a card, from the two codes and the text that Stripe gives."""
    given = decline if decline == "insufficient_funds" else known_text(code)
    known = str(given) if given in CARD_CODES else "card_declined"
    return Refused(known, clean_text(message, known))


def known_text(value: object) -> str:
    """The value if it is a text; Stripe's library checks no types."""
    return value if isinstance(value, str) else ""
