"""JSON over HTTP, as providers and services speak it: an idempotency key with each POST, and what became of a call.

Besides that it is done there are three ends:

- refused: the other side understood and said no (422); final.
- unknown: time-out, 5xx, broken connection, unreadable answer: repeat with the same key.
- failed: our side is wrong (other 4xx); this call did nothing and a human has to look.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from celery_config.http.client import CALL_SECONDS, DeadlineClient

REFUSED = 422
LATER = {408, 425, 429}
UNAVAILABLE = 503
KEY_HEADER = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The caller's own exceptions for the three ends; a code is stable, a reason is for people.

    Args:
        away: for an unknown end of which is known that nobody was there to do anything; none: it is unknown, too.
    """

    refused: Callable[[str, str], Exception]
    unknown: Callable[[str], Exception]
    failed: Callable[[str, str], Exception]
    away: Callable[[str], Exception] | None = None


class JsonClient:
    """JSON calls to one service whose errors are problems (RFC 9457) or ``{"error": {"code", "reason"}}``."""

    def __init__(
        self, base_url: str, outcomes: Outcomes, *, seconds: float = CALL_SECONDS, token: str = ""
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._outcomes = outcomes
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = DeadlineClient(seconds=seconds)

    def post(self, path: str, body: Mapping[str, Any], *, key: str) -> dict[str, Any]:
        """Do something once, however often it is called with this idempotency key."""
        headers = {**self._headers, KEY_HEADER: key, "Content-Type": "application/json"}
        return self._call("POST", path, headers=headers, content=json.dumps(body))

    def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Read something."""
        return self._call("GET", path, headers=self._headers, params=params)

    def items(self, path: str, params: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """All items of a paged list ``{"items": […], "next": cursor}``; the limit holds for each page."""
        after: str | None = "0"
        while after is not None:
            page = self.get(path, {**params, "after": after})
            yield from page["items"]
            after = page["next"]

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()

    def _call(self, method: str, path: str, **parts: Any) -> dict[str, Any]:
        try:
            response = self._client.send(method, self._base_url + path, **parts)
        except httpx.TransportError as error:
            unreached = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            kind = (unreached and self._outcomes.away) or self._outcomes.unknown
            raise kind(f"{method} {path}: {type(error).__name__}: {error}") from error
        asked = parts["headers"].get(KEY_HEADER)
        if response.headers.get(KEY_HEADER, asked) != asked:
            # A second answer to an earlier call that came late; ours would be read by the next call.
            response.extensions["network_stream"].close()
            raise self._outcomes.unknown(f"{method} {path}: what came answers another call")
        status = response.status_code
        if status == UNAVAILABLE and self._outcomes.away:
            raise self._outcomes.away(f"{method} {path}: answered {status}: {response.text[:200]}")
        if status >= 500 or status in LATER:
            raise self._outcomes.unknown(f"{method} {path}: answered {status}: {response.text[:200]}")
        try:
            body = response.json()
        except ValueError:
            body = None
        if 200 <= status < 300:
            if not isinstance(body, dict):
                raise self._outcomes.unknown(
                    f"{method} {path}: answered {status}, but not with a JSON object"
                )
            return body
        raise (self._outcomes.refused if status == REFUSED else self._outcomes.failed)(
            *told(body, str(status), response.text[:200])
        )


def told(body: Any, code: str, reason: str) -> tuple[str, str]:
    """Code and reason of an error's body; those given where it has none."""
    details = body.get("error", body) if isinstance(body, dict) else {}
    if not isinstance(details, dict):
        return code, reason
    return str(details.get("code", code)), str(details.get("reason") or details.get("detail") or reason)
