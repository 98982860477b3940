"""How a call to the carrier can end, other than done.

CarrierError
├── CarrierRefused    refused by the carrier; final, a repeat says the same; a Refused to the protocol
├── CarrierUnknown    time-out, 5xx, broken connection: nobody knows; repeat with the same key; an Unknown to it
└── CarrierFailed     our side is wrong (address of the service, request, a key used twice): this call did
                      nothing, and a repeat does nothing either until a human has mended it
"""

from __future__ import annotations

from celery_config.errors import OutcomeUnknown, Refused


class CarrierError(Exception):
    """A call that did not simply end done."""


class CarrierRefused(CarrierError, Refused):
    """The carrier refused. `code` is stable."""


class CarrierUnknown(CarrierError, OutcomeUnknown):
    """Nobody knows whether it was done. Repeat the call with the same key and the same request."""


class CarrierFailed(CarrierError):
    """The carrier did not accept the call as such; look at our settings or our code."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
