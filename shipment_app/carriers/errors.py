"""How a call to the carrier can end, other than done.

CarrierError
├── CarrierRefused    refused by the carrier; final, a repeat says the same
├── CarrierUnknown    time-out, 5xx, broken connection: nobody knows; repeat with the same key
└── CarrierFailed     our side is wrong (address of the service, request, a key used twice): this call did
                      nothing, and a repeat does nothing either until a human has mended it
"""

from __future__ import annotations


class CarrierError(Exception):
    """A call that did not simply end done."""


class CarrierRefused(CarrierError):
    """The carrier refused. `code` is stable."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class CarrierUnknown(CarrierError):
    """Nobody knows whether it was done. Repeat the call with the same key and the same request."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CarrierFailed(CarrierError):
    """The carrier did not accept the call as such; look at our settings or our code."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
