"""Message authentication: commands are the orchestrator's, outcomes their participant's (rule 29, authenticity). Pure.

The broker's rights say who may publish what under which key (`topology`). They cannot say who made a link: participants
pass on the links of a chain. So each participant shares a key with the orchestrator, and no other service has it. A
link, and a participant's word about its own step, carry a code that only these two can make: HMAC-SHA256 (RFC 2104), of
which 128 bits are kept. A participant could forge a link to itself, and no other.

A link also waits for those before it. It holds a lock for each, the hash of a proof that only the participant of that
step can make, and shows when the step ran. So a participant that hands on a later link first gets it refused. (Hash
locks: Poon, Dryja, The Bitcoin Lightning Network, 2016.)

A choreographed order has no links. Its first event brings a mandate, which all later events pass on: for each step a
code over what the order service asked for, and the locks of all steps. The events also pass on the proofs of the steps
that ran. So an event makes a service act for orders that were placed, as they were placed, and in their turn.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from celery_config.errors import Forged

CODE = "mac"
"""The name of the code among a message's keyword arguments."""
UNSIGNED = (CODE, "attempt")
"""What a code does not cover: an attempt only tells tries apart in Flower."""
WORDS = "words"
"""Beside the replies of a chain's steps: the participants' codes for them, by step; no step has this name."""
PROOF = ".proof"
"""Ends the name under which the words have a step's proof; older versions know the words and no proofs."""
AFTER = "after"
"""Among a link's keyword arguments: steps before it in its chain, each with the locks that its proof opens."""
MANDATE, PROOFS = "mandate", "proofs"
"""Attributes of the events of a choreographed order."""
CODE_LENGTH = 32
BLOCK = 64
"""Bytes; SHA-256's."""
LOCK_LENGTH = 24
INNER, OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))
_encoder = msgspec.json.Encoder(order="deterministic")


class Mode(StrEnum):
    """What is demanded of messages. An upgrade goes from `off` through `accept` to `require`."""

    OFF = "off"
    ACCEPT = "accept"
    """Messages are sent with codes; one that comes without is taken, as older versions sent it."""
    REQUIRE = "require"


class Mandate(msgspec.Struct):
    """What the order service asks for in a choreographed order, by step."""

    codes: dict[str, tuple[list[str], str]]
    """The names of the fields that it knows, and the code over them."""
    locks: dict[str, list[str]]


@dataclass(frozen=True)
class MessageKeys:
    """The keys of one service.

    Args:
        keys: by the service that shares them with the orchestrator; a participant has only its own. The first makes
            codes, all are accepted, so a key can be changed without a stop.
        mode: what is demanded.
    """

    keys: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    mode: Mode = Mode.OFF

    def sign_message(self, service: str, task: str, kwargs: Mapping[str, Any]) -> dict[str, str]:
        """Return the code as a further keyword argument of a message between the orchestrator and `service`."""
        if self.mode is Mode.OFF:
            return {}
        return {CODE: self._make(service, _encode_message(task, kwargs))}

    def check_message(self, service: str, task: str, kwargs: Mapping[str, Any]) -> None:
        """
        Raises:
            Forged: neither the orchestrator nor `service` made this message.
        """
        code = kwargs.get(CODE)
        if self._must_check(code) and not self._fits(service, _encode_message(task, kwargs), code):
            raise Forged(f"{task} is not authentic: its code is {'wrong' if code else 'missing'}")

    def make_locks(self, service: str, saga: str, step: str, operation: str) -> list[str]:
        """Return the locks that open when this operation of `service` has run; none if codes are off.

        While a key is being changed, the proof of any of its values opens one of them.
        """
        if self.mode is Mode.OFF:
            return []
        content = _encode_proof(service, saga, step, operation)
        return [_lock(_digest(key, content)) for key in self.keys[service]]

    def check_turn(self, kwargs: Mapping[str, Any], replies: Mapping[str, Any]) -> None:
        """
        Raises:
            Forged: a step before this link did not run, or its service does not say so in `replies`.
        """
        if self.mode is Mode.OFF or CODE not in kwargs or not kwargs.get(AFTER):
            return
        words = read_words(replies)
        for step, locks in kwargs[AFTER].items():
            proof = words.get(step + PROOF)
            if self._must_check(proof) and _lock(proof) not in locks:
                raise Forged(f"the message is not authentic: nothing proves that {step} ran before it")

    def make_mandate(self, order: str, steps: Mapping[str, tuple[str, Mapping[str, Any]]]) -> str:
        """Return what lets the services carry out their steps of a choreographed order; empty if codes are off.

        Args:
            steps: by name, the service of each, and the fields of its command that are known.
        """
        if self.mode is Mode.OFF:
            return ""
        locks = {step: self.make_locks(service, order, step, "do") for step, (service, _) in steps.items()}
        codes = {
            step: (sorted(known), self._make(service, _encode_mandate(step, order, known, locks)))
            for step, (service, known) in steps.items()
        }
        return msgspec.json.encode(Mandate(codes, locks)).decode()

    def check_mandate(
        self, service: str, order: str, step: str, fields: Mapping[str, Any], event: Mapping[str, Any]
    ) -> Mandate | None:
        """Return the mandate that an event brings, or None if none is demanded.

        Args:
            fields: those of the step's command, as they came.

        Raises:
            Forged: the order service did not ask `service` for this step, or not with these fields.
        """
        text = event.get(MANDATE)
        if not self._must_check(text):
            return None
        try:
            mandate = msgspec.json.decode(str(text), type=Mandate)
        except ValueError as error:
            raise Forged(
                f"the event is not authentic: its mandate is {'wrong' if text else 'missing'}"
            ) from error
        names, code = mandate.codes.get(step, ((), ""))
        known = {name: fields.get(name) for name in names}
        if not self._fits(service, _encode_mandate(step, order, known, mandate.locks), code):
            raise Forged("the event is not authentic: the order service did not ask for this")
        return mandate

    def give_proof(self, service: str, order: str, step: str, event: Mapping[str, Any]) -> str:
        """Return the proofs that an event brings, and the one that this step of a choreographed order ran."""
        proofs = read_proofs(event)
        if self.mode is not Mode.OFF:
            proofs[step] = self._make(service, _encode_proof(service, order, step, "do"))
        return " ".join(f"{name}={proof}" for name, proof in proofs.items())

    def sign_outcome(
        self, service: str, saga: str, step: str, operation: str, outcome: str, content: Any
    ) -> dict[str, str]:
        """Return a participant's word for its step, `SERVICE:CODE`, and its proof; none if codes are off."""
        if self.mode is Mode.OFF:
            return {}
        code = self._make(service, _encode_outcome(service, saga, step, outcome, content))
        proof = self._make(service, _encode_proof(service, saga, step, operation))
        return {step: f"{service}:{code}", step + PROOF: proof}

    def find_speaker(self, word: Any, saga: str, step: str, outcome: str, content: Any) -> str | None:
        """Return the service whose word this is; empty if no word is demanded, None if there is none or it is false."""
        if not self._must_check(word):
            return ""
        service, _, code = word.partition(":") if isinstance(word, str) else ("", "", "")
        try:
            fits = self._fits(service, _encode_outcome(service, saga, step, outcome, content), code)
        except Forged:
            return None
        return service if fits else None

    def _must_check(self, code: Any) -> bool:
        return self.mode is Mode.REQUIRE or (self.mode is Mode.ACCEPT and bool(code))

    def _make(self, service: str, content: bytes) -> str:
        return _digest(self.keys[service][0], content)

    def _fits(self, service: str, content: bytes, code: Any) -> bool:
        if not isinstance(code, str) or not code.isascii():
            return False
        return any(hmac.compare_digest(_digest(key, content), code) for key in self.keys.get(service, ()))


def read_words(replies: Mapping[str, Any]) -> dict[str, Any]:
    """The words of a chain's participants, by step; empty if there are none."""
    words = replies.get(WORDS)
    return words if isinstance(words, dict) else {}


def read_proofs(event: Mapping[str, Any]) -> dict[str, str]:
    """The proofs that an event of a choreographed order brings, by step."""
    pairs = (each.partition("=") for each in str(event.get(PROOFS, "")).split())
    return {step: proof for step, _, proof in pairs}


def check_proofs(mandate: Mandate, steps: Iterable[str], event: Mapping[str, Any]) -> None:
    """
    Raises:
        Forged: one of these steps did not run, or its service does not say so.
    """
    proofs = read_proofs(event)
    for step in steps:
        if _lock(proofs.get(step)) not in mandate.locks.get(step, ()):
            raise Forged(f"the event is not authentic: nothing proves that {step} ran before it")


def _lock(proof: Any) -> str:
    """Return what this proof opens; an empty text if it is none."""
    if not isinstance(proof, str) or not proof.isascii():
        return ""
    return hashlib.sha256(proof.encode()).hexdigest()[:LOCK_LENGTH]


def _digest(key: bytes, content: bytes) -> str:
    """Return the code: the first half of HMAC-SHA256. `hmac.digest` would hash the key again for each message."""
    begun = _begin_hashes(key)
    inner, outer = begun[0].copy(), begun[1].copy()
    inner.update(content)
    outer.update(inner.digest())
    code: str = outer.hexdigest()[:CODE_LENGTH]
    return code


@functools.cache
def _begin_hashes(key: bytes) -> tuple[Any, Any]:
    """Return HMAC's inner and outer hash after the key, made once: half of its work (RFC 2104, section 4)."""
    padded = (key if len(key) <= BLOCK else hashlib.sha256(key).digest()).ljust(BLOCK, b"\0")
    return hashlib.sha256(padded.translate(INNER)), hashlib.sha256(padded.translate(OUTER))


def _encode_message(task: str, kwargs: Mapping[str, Any]) -> bytes:
    signed = dict(kwargs)
    for name in UNSIGNED:
        signed.pop(name, None)
    return _encode(["message", task, signed])


def _encode_outcome(service: str, saga: str, step: str, outcome: str, content: Any) -> bytes:
    return _encode(["outcome", service, saga, step, outcome, content])


def _encode_mandate(
    step: str, order: str, known: Mapping[str, Any], locks: Mapping[str, Sequence[str]]
) -> bytes:
    return _encode(["mandate", step, order, known, locks])


def _encode_proof(service: str, saga: str, step: str, operation: str) -> bytes:
    return f"proof {service} {saga} {step} {operation}".encode()


def _encode(content: Any) -> bytes:
    try:
        return _encoder.encode(content)
    except (
        ValueError,
        TypeError,
        OverflowError,
        RecursionError,
    ) as error:  # what no service of ours would send
        raise Forged(f"it has contents that no service sends: {type(error).__name__}") from error


def read_keys(text: str) -> tuple[bytes, ...]:
    """Read the keys of a setting, which are separated by commas."""
    return tuple(key.strip().encode() for key in text.split(",") if key.strip())
