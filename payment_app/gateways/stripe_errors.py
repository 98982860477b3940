"""Every error of Stripe's library becomes one of our three: Refused, OutcomeUnknown or CallFailed.

Source: https://docs.stripe.com/error-codes and https://docs.stripe.com/declines/codes
"""

from __future__ import annotations

import stripe

from celery_config.errors import CallFailed, OutcomeUnknown, Refused, clean_text

# Stripe read our request and refuses it, however often it is repeated.
FINAL = {
    "amount_too_large": "amount_too_large",
    "amount_too_small": "amount_too_small",
    "charge_already_refunded": "amount_too_large",
    "payment_intent_unexpected_state": "unexpected_state",
}
# What a customer can understand or correct; every other decline is `card_declined`.
CARD_CODES = {
    "authentication_required", "card_declined", "card_decline_rate_limit_exceeded", "currency_not_supported",
    "expired_card", "incorrect_address", "incorrect_cvc", "incorrect_number", "incorrect_zip", "insufficient_funds",
    "invalid_cvc", "invalid_expiry_month", "invalid_expiry_year", "invalid_number", "processing_error",
}  # fmt: skip
ALREADY = {"succeeded": "already_captured", "canceled": "already_voided"}
NOT_FOUND = "resource_missing"


def translate_error(error: stripe.StripeError) -> Refused | OutcomeUnknown | CallFailed:
    """The same error as one of ours."""
    reason = clean_text(error.user_message, type(error).__name__)
    if isinstance(error, stripe.CardError):
        return make_decline(getattr(error.error, "decline_code", None), error.code, error.user_message)
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


def make_decline(decline: object, code: object, message: object) -> Refused:
    """The refusal of a card, from the two codes and the text that Stripe gives."""
    given = "insufficient_funds" if decline == "insufficient_funds" else code
    known = given if isinstance(given, str) and given in CARD_CODES else "card_declined"
    return Refused(known, clean_text(message, known))


def _translate_invalid_request(error: stripe.InvalidRequestError, reason: str) -> Refused | CallFailed:
    if error.code == NOT_FOUND and error.param in {"payment_method", "payment_method_data[card][token]"}:
        return Refused("invalid_token", reason)
    final = FINAL.get(error.code) if isinstance(error.code, str) else None
    if final is None:
        return CallFailed(error.code or "invalid_request", reason)
    status = getattr(getattr(error.error, "payment_intent", None), "status", "")
    return Refused(ALREADY.get(status, final), reason)
