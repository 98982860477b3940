"""Requests, answers and errors of the sandbox's endpoints.

SandboxError            answered as {"error": {"code", "reason"}}
├── InvalidRequest      400: the request makes no sense, nothing was done
├── NotFound            404: there is no such thing, nothing was done
├── KeyConflict         409: this Idempotency-Key belongs to another request, nothing was done
├── TooManyCalls        429 (limits.py): above the limit, nothing was done
└── Refused             422: understood and refused; final, and stored under the key
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from compose.sandbox.store import Store


@dataclass(frozen=True, slots=True)
class Request:
    """One request, already routed: `ids` are the parts of the path in braces."""

    method: str
    path: str
    ids: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    key: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status code and its JSON object; it is sent `copies` times."""

    status: int
    body: dict[str, Any]
    copies: int = 1
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """One for each command-line option; times are in seconds, weights in grams."""

    slow_seconds: float = 2.0
    timeout_seconds: float = 30.0
    max_weight_grams: int = 1_000_000

    @property
    def unhurried_seconds(self) -> float:
        """How long each call about an order takes that people want to watch."""
        return 3 * self.slow_seconds


@dataclass(frozen=True, slots=True)
class Shop:
    """The store and the settings that every endpoint uses."""

    store: Store
    settings: Settings


Endpoint = Callable[[Shop, Request], Answer]


class SandboxError(Exception):
    """An error with a stable code and a reason for people."""

    status = 500

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
        self.headers: dict[str, str] = {}

    def answer(self) -> Answer:
        """Return the answer that tells the error."""
        told = {"error": {"code": self.code, "reason": self.reason}}
        return Answer(self.status, told, headers=self.headers)


class InvalidRequest(SandboxError):
    status = 400


class NotFound(SandboxError):
    status = 404


class KeyConflict(SandboxError):
    status = 409


class Refused(SandboxError):
    status = 422
