"""The words to which the sandbox's provider and carrier react: test tokens of cards, and parts of addresses. Pure.

docs/reference/sandbox.md says what each does. A real provider knows no such token, and a real carrier no such address.
"""

from __future__ import annotations

from enum import StrEnum


class Token(StrEnum):
    """A card that the provider knows."""

    APPROVED = "tok_approved"
    DECLINED = "tok_card_declined"
    POOR = "tok_insufficient_funds"
    SLOW = "tok_slow"
    UNHURRIED = "tok_unhurried"
    LATE = "tok_timeout_then_succeeds"
    ALWAYS_LATE = "tok_timeout"
    ERROR_AFTER_CHARGING = "tok_error_after_charging"
    CAPTURE_REFUSED = "tok_capture_refused"
    VOID_FAILS = "tok_void_fails"
    WEBHOOK_DIFFERS = "tok_webhook_differs"


# The carrier delivers to none of these.
UNREACHABLE_COUNTRY = "AQ"
UNREACHABLE_POSTAL_CODE = "00000"
# In the second line of an address: what the carrier does about its parcel.
UNHURRIED = "sandbox: unhurried"
CANCEL_FAILS = "sandbox: cancel fails"
DISPATCH_FAILS = "sandbox: dispatch fails"
