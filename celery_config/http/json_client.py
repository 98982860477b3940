"""A JSON client with idempotency keys: each call returns the answer, or raises one of three errors.

- Refused: the other side understood the call and refuses it (422); final, and nothing was done.
- OutcomeUnknown: time-out, 5xx, broken connection, unreadable answer; repeat the call with the same key.
- CallFailed: our side is wrong (other 4xx); this call did nothing, and a human has to look.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import httpx

from celery_config.errors import (
    MAX_REASON,
    CalledTooOften,
    CallFailed,
    OutcomeUnknown,
    Refused,
    clean_code,
    clean_text,
)
from celery_config.http.client import CALL_SECONDS, LARGEST_ANSWER, DeadlineClient

Answers = Mapping[int | tuple[int, str], type[Exception]]
"""What an answer proves: the error that a status, or a status with a code, becomes."""
ANSWERS: Answers = {408: OutcomeUnknown, 422: Refused, 425: OutcomeUnknown, 429: OutcomeUnknown}
UNAVAILABLE = 503
KEY_HEADER = "Idempotency-Key"
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class JsonClient:
    """JSON calls to one service whose errors are problems (RFC 9457) or ``{"error": {"code", "reason"}}``.

    Args:
        seconds: limit of one call in total.
        away: raised when the service cannot be reached, or answers 503: it did nothing.
        answers: what its answers prove. One that is not there: of a 5xx OutcomeUnknown, else CallFailed.
        largest: bytes of an answer that are read; a larger one is unreadable.
    """

    def __init__(
        self,
        base_url: str,
        *,
        seconds: float = CALL_SECONDS,
        token: str = "",
        away: type[OutcomeUnknown] = OutcomeUnknown,
        answers: Answers = ANSWERS,
        largest: int = LARGEST_ANSWER,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._away = away
        self._answers = answers
        self._largest = largest
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = DeadlineClient(seconds=seconds)

    def post(
        self, path: str, body: Mapping[str, Any], *, key: str, headers: Mapping[str, str] = NO_HEADERS
    ) -> dict[str, Any]:
        """Do something once, however often it is called with this idempotency key."""
        sent = {**headers, **self._headers, KEY_HEADER: key, "Content-Type": "application/json"}
        return self._call("POST", path, headers=sent, content=json.dumps(body))

    def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Read something; no error of it proves anything of a call, so it is never Refused."""
        return self._call("GET", path, headers=self._headers, params=params)

    def items(self, path: str, params: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """All items of a paged list ``{"items": […], "next": cursor}``; the limit holds for each page."""
        after: str | None = "0"
        while after is not None:
            page = self.get(path, {**params, "after": after})
            yield from page["items"]
            after = page["next"]

    def _call(self, method: str, path: str, **parts: Any) -> dict[str, Any]:
        try:
            response = self._client.send(method, self._base_url + path, **parts)
        except httpx.TransportError as error:
            unreached = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            unknown = self._away if unreached else OutcomeUnknown
            raise unknown(f"{method} {path}: {type(error).__name__}: {error}") from error
        asked = parts["headers"].get(KEY_HEADER)
        if response.headers.get(KEY_HEADER, asked) != asked:
            # A second answer to an earlier call that came late; ours would be read by the next call.
            response.extensions["network_stream"].close()
            raise OutcomeUnknown(f"{method} {path}: what came answers another call")
        status = response.status_code
        if (size := len(response.content)) > self._largest:
            raise OutcomeUnknown(
                f"{method} {path}: answered {status} with {size} bytes, more than {self._largest}"
            )
        try:
            body = response.json()
        except (ValueError, RecursionError):
            body = None
        if 200 <= status < 300:
            if not isinstance(body, dict):
                raise OutcomeUnknown(f"{method} {path}: answered {status}, but not with a JSON object")
            return body
        code, reason = read_error(body, str(status), clean_text(response.text, limit=200))
        kind = self._find_error(status, code)
        if issubclass(kind, CalledTooOften):
            wait = read_retry_after(response.headers.get("Retry-After", ""))
            raise kind(f"{method} {path}: answered {status}: {reason}", wait=wait)
        if issubclass(kind, OutcomeUnknown):
            raise kind(f"{method} {path}: answered {status}: {reason}")
        raise CallFailed(code, reason) if method == "GET" else kind(code, reason)

    def _find_error(self, status: int, code: str) -> type[Exception]:
        if status == UNAVAILABLE:
            return self._away
        default = OutcomeUnknown if status >= 500 else CallFailed
        return self._answers.get((status, code)) or self._answers.get(status, default)


def read_retry_after(text: str) -> float:
    """Return the seconds of a `Retry-After`; 0 for a date or whatever else it says: the pace is lowered anyway."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0


def read_error(body: Any, code: str, reason: str) -> tuple[str, str]:
    """The code and reason in the body of an error, cleaned; the given ones where it has none."""
    details = body.get("error", body) if isinstance(body, dict) else {}
    if not isinstance(details, dict):
        return code, reason
    code, text = clean_code(details.get("code"), code), details.get("reason") or details.get("detail")
    return code, clean_text(text, reason if text is None else code, limit=MAX_REASON)
