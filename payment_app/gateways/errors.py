"""How a call to the payment provider can end, other than done.

GatewayError
├── Declined      refused by the provider; final, a repeat says the same; a Refused to the protocol
├── OutcomeUnknown  time-out, 5xx, broken connection: it may be done or not; repeat with the same key
└── CallFailed    our side is wrong (API key, address, request, a key used twice): this call did nothing,
                  and a repeat does nothing either until a human has mended it
"""

from __future__ import annotations

from celery_config import errors


class GatewayError(Exception):
    """A call that did not simply end done."""


class Declined(GatewayError, errors.Refused):
    """The provider refused. `code` is stable and the same for every gateway where the meaning is the same."""


class OutcomeUnknown(GatewayError, errors.OutcomeUnknown):
    """Nobody knows whether it was done. Repeat the call with the same key and the same request."""


class CallFailed(GatewayError):
    """The provider did not accept the call as such; look at our settings or our code."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
