"""The sandbox's client: what its payment provider and its carrier have in common."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

import msgspec

from celery_config.common.loading import require_setting
from celery_config.errors import CalledTooOften, CallFailed, OutcomeUnknown, Refused, clean_text
from celery_config.http.client import CALL_SECONDS
from celery_config.http.json_client import Answers, JsonClient
from celery_config.http.webhooks import Envelope, open_envelope

E = TypeVar("E")
M = TypeVar("M")
S = TypeVar("S", bound="SandboxClient[Any]")
PAGE = "500"
# The codes of an invalid request, which does nothing.
INVALID = {
    "missing_field": 400, "invalid_field": 400, "unknown_field": 400, "invalid_body": 400, "invalid_key": 400,
    "not_found": 404,
}  # fmt: skip
# What an answer of the sandbox proves, as docs/reference/sandbox.md says. A 404 with another code comes from another
# server, which knows nothing of our calls.
ANSWERS: Answers = {
    **{(status, code): Refused for code, status in INVALID.items()},
    409: CallFailed,  # the key belongs to another call, which may have done its work
    422: Refused,
    429: CalledTooOften,
    500: OutcomeUnknown,
}


class SandboxClient(Generic[E]):
    """Calls the sandbox at `url`.

    Args:
        seconds: limit of one call in total.
        webhook_secret: signs the sandbox's webhooks; without a secret, every webhook is refused.
    """

    path: ClassVar[str]
    """Of the list of its entries."""
    secret_setting: ClassVar[str]
    codes: ClassVar[frozenset[str]]
    """Of its refusals; every other one is handed on as `unknown_code`."""
    unknown_code: ClassVar[str]

    def __init__(self, url: str, *, seconds: float = CALL_SECONDS, webhook_secret: str = "") -> None:
        self._webhook_secret = webhook_secret
        self._http = JsonClient(url, seconds=seconds, answers=ANSWERS)

    @classmethod
    def from_settings(cls: type[S], settings: Any, *, seconds: float) -> S:
        url = require_setting(settings, "SANDBOX_URL", needed_by="the sandbox")
        return cls(url, seconds=seconds, webhook_secret=getattr(settings, cls.secret_setting, ""))

    def find_entries(self, order: UUID) -> list[E]:
        """The entries of one order."""
        return list(self._list_entries({"reference": str(order)}))

    def list_entries(self, since: datetime | None = None) -> Iterator[E]:
        """Every entry made since then, page by page."""
        return self._list_entries({"since": since.isoformat()} if since else {})

    def make_entry(self, item: dict[str, Any]) -> E:
        """One item of the list as an entry."""
        raise NotImplementedError

    def open_event(self, body: bytes, headers: Mapping[str, str]) -> Envelope:
        """Verify a webhook and return its event."""
        return open_envelope(body, headers, self._webhook_secret, now=time.time())

    @classmethod
    def make_refusal(cls, code: object, reason: object) -> Refused:
        """A refusal in its words as one in ours: a known code, and a short text that can be stored."""
        given = code if isinstance(code, str) else ""
        known = "invalid_request" if given in INVALID else given if given in cls.codes else cls.unknown_code
        return Refused(known, clean_text(reason, known))

    def _post(self, path: str, body: Mapping[str, Any], key: UUID | str, kind: type[M]) -> M:
        """Do something once; return the answer as a `kind`.

        Raises:
            OutcomeUnknown: also if the answer cannot be read.
        """
        try:
            return msgspec.convert(self._http.post(path, body, key=str(key)), kind)
        except Refused as refusal:
            raise self.make_refusal(refusal.code, refusal.reason) from refusal
        except msgspec.ValidationError as error:
            raise OutcomeUnknown(f"POST {path}: an answer that cannot be read: {error}") from error

    def _list_entries(self, params: dict[str, str]) -> Iterator[E]:
        return map(self.make_entry, self._http.items(self.path, params | {"limit": PAGE}))
