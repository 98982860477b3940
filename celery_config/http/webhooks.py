"""What somebody outside tells us unasked, and how we know that it was they. Pure.

The signature's scheme is Stripe's (https://docs.stripe.com/webhooks#verify-manually), under a header of its own:

    Webhook-Signature: t=<seconds since 1970>,v1=<hex of HMAC-SHA256(secret, "<t>." + body)>

The time is signed with the body, so that an old event cannot be sent again by whoever has overheard it. Several `v1`
are allowed, so that a sender can sign with an old and a new secret while the secret is changed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec

from celery_config.errors import EventUnreadable, SignatureInvalid, SignatureStale

T = TypeVar("T")
HEADER = "Webhook-Signature"
TOLERANCE_SECONDS = 300
SCHEME = "v1"
NUL = rb"\u0000"  # as JSON writes it


@dataclass(frozen=True)
class Envelope:
    """An event as the sandbox sends it: `data` is the thing it happened to, as the sandbox shows it."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    type: Annotated[str, msgspec.Meta(max_length=120)]
    idempotency_key: str
    data: dict[str, Any]


def sign(body: bytes, secret: str, *, at: int) -> str:
    """Return the signature header of a body; `at` is in seconds since 1970."""
    return f"t={at},{SCHEME}={digest(body, secret, at)}"


def digest(body: bytes, secret: str, at: int) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def verify(body: bytes, header: str, secret: str, *, now: float) -> None:
    """Check who signed the body, and when.

    Args:
        now: seconds since 1970.

    Raises:
        SignatureInvalid: not with this secret, or not at all.
        SignatureStale: over five minutes ago or ahead.
    """
    parts = [part.strip().partition("=")[::2] for part in header.split(",")]
    times = [value for name, value in parts if name == "t" and value.isascii() and value.isdigit()]
    given = [value.encode() for name, value in parts if name == SCHEME]
    if not secret or len(times) != 1 or len(times[0]) > len("99999999999"):
        raise SignatureInvalid(f"send {HEADER}: t=…,{SCHEME}=… with the secret that both sides know")
    wanted = digest(body, secret, int(times[0])).encode()
    if not any(hmac.compare_digest(wanted, value) for value in given):
        raise SignatureInvalid("the signature is not that of this body; compare the secrets of both sides")
    if abs(now - int(times[0])) > TOLERANCE_SECONDS:
        raise SignatureStale(
            f"signed more than {TOLERANCE_SECONDS} s ago or ahead; sign each try anew and compare the clocks"
        )


def opened(body: bytes, headers: Mapping[str, str], secret: str, *, now: float) -> Envelope:
    """Return the event in a body that the sandbox signed.

    Raises:
        SignatureInvalid, SignatureStale: it is not to be believed.
        EventUnreadable: it is theirs, but no event.
    """
    verify(body, headers.get(HEADER, ""), secret, now=now)
    if NUL in body:
        raise EventUnreadable("it holds a NUL character, which no text of an event has")
    try:
        return msgspec.json.decode(body, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EventUnreadable(f"the body is no event: {error}") from error


def data_as(kind: type[T], envelope: Envelope) -> T:
    """Return what the event is about as a `kind`.

    Raises:
        EventUnreadable: something is missing, or of the wrong type.
    """
    try:
        return msgspec.convert(envelope.data, kind)
    except msgspec.ValidationError as error:
        raise EventUnreadable(f"data of {envelope.type}: {error}") from error


def our_key(key: str) -> UUID | None:
    """The command id that was sent as idempotency key; None for a key that we never gave."""
    try:
        return UUID(key)
    except ValueError:
        return None
