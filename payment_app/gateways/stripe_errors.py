"""Every error of Stripe's library becomes one of our three: Refused, OutcomeUnknown or CallFailed.

Source: https://docs.stripe.com/error-codes and https://docs.stripe.com/declines/codes
"""

from __future__ import annotations

import stripe

from celery_config.errors import CallFailed, OutcomeUnknown, Refused

# Stripe read our request and refuses it, however often it is repeated.
FINAL = {
    "amount_too_large": "amount_too_large",
    "amount_too_small": "amount_too_small",
    "charge_already_refunded": "amount_too_large",
    "payment_intent_unexpected_state": "unexpected_state",
}
ALREADY = {"succeeded": "already_captured", "canceled": "already_voided"}
NOT_FOUND = "resource_missing"


def translate_error(error: stripe.StripeError) -> Refused | OutcomeUnknown | CallFailed:
    """The same error as one of ours."""
    reason = error.user_message or str(error)
    if isinstance(error, stripe.CardError):
        return Refused(find_decline_code(getattr(error.error, "decline_code", None), error.code), reason)
    if isinstance(error, stripe.InvalidRequestError):
        return _translate_invalid_request(error, reason)
    if isinstance(error, stripe.APIConnectionError | stripe.RateLimitError):
        return OutcomeUnknown(reason)
    if isinstance(error, stripe.APIError):
        # 5xx, an unreadable answer, or 409: the first call with this key is still under way.
        return OutcomeUnknown(f"answered {error.http_status}: {reason}")
    return CallFailed(error.code or type(error).__name__, reason)


def is_replayed_fault(error: stripe.StripeError) -> bool:
    """Whether Stripe stored this 5xx under the key: then every repeat of the call gets it again.

    Source: https://docs.stripe.com/api/idempotent_requests (results are saved "including 500 errors").
    """
    status = error.http_status or 0
    return status >= 500 and (error.headers or {}).get("idempotent-replayed") == "true"


def find_decline_code(decline: str | None, code: str | None) -> str:
    """Our code of a card error, from the two that Stripe gives."""
    return "insufficient_funds" if decline == "insufficient_funds" else code or "card_declined"


def _translate_invalid_request(error: stripe.InvalidRequestError, reason: str) -> Refused | CallFailed:
    if error.code == NOT_FOUND and error.param in {"payment_method", "payment_method_data[card][token]"}:
        return Refused("invalid_token", reason)
    if error.code not in FINAL:
        return CallFailed(error.code or "invalid_request", reason)
    status = getattr(getattr(error.error, "payment_intent", None), "status", "")
    return Refused(ALREADY.get(status, FINAL[error.code]), reason)
