"""Webhooks are untrusted input: an event is read only after its signature proves who sent it, and when. Pure.

The signature scheme is Stripe's (https://docs.stripe.com/webhooks#verify-manually), under a header of our own:

    Webhook-Signature: t=<seconds since 1970>,v1=<hex of HMAC-SHA256(secret, "<t>." + body)>

The time is signed with the body, so that an attacker cannot send an old event again. Several `v1` are allowed, so that
a sender can sign with an old and a new secret while the secret is changed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec

from celery_config.errors import EventUnreadable, Refused, SignatureInvalid, SignatureStale

T = TypeVar("T")
HEADER = "Webhook-Signature"
TOLERANCE_SECONDS = 300
SCHEME = "v1"
Name = Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[\x21-\x7e]*\Z")]
"""What the sender names something by. Other texts of an event may hold anything and are cleaned where they are used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEvent:
    """A webhook event that says how one of our calls ended.

    Args:
        id: the sender's name for the event; `kind` is its type, in the sender's words.
        key: the idempotency key of the call.
        order: None when the event names no order of ours.
        refused: why the call was refused; None when it was done.
    """

    id: str
    kind: str
    key: str
    order: UUID | None
    refused: Refused | None = None


@dataclass(frozen=True)
class Envelope:
    """An event as the sandbox sends it: `data` is the thing it happened to, as the sandbox shows it."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+\Z")]
    type: Annotated[str, msgspec.Meta(max_length=120, pattern=r"^[\x21-\x7e]+\Z")]
    idempotency_key: Name
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
            f"signed more than {TOLERANCE_SECONDS} s ago or ahead; sign every try again and compare the clocks"
        )


def open_envelope(body: bytes, headers: Mapping[str, str], secret: str, *, now: float) -> Envelope:
    """Verify a body that the sandbox signed and return its event.

    Raises:
        SignatureInvalid, SignatureStale: the sandbox did not sign this body, or not now.
        EventUnreadable: the sandbox signed the body, but it is no event.
    """
    verify(body, headers.get(HEADER, ""), secret, now=now)
    return convert(read_json(body), Envelope)


def read_json(body: bytes) -> Any:
    """Return the JSON of a signed body.

    Python's own reader takes half a surrogate pair, which msgspec refuses: no text keeps an event out.

    Raises:
        EventUnreadable: it is none.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EventUnreadable(f"the body is no event: {error}") from error


def convert(value: Any, kind: type[T]) -> T:
    """Return a part of an event as a `kind`.

    Raises:
        EventUnreadable: something is missing, or of the wrong type.
    """
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, UnicodeError) as error:  # half a surrogate pair where no text belongs
        raise EventUnreadable(f"the event cannot be read: {error}") from error
