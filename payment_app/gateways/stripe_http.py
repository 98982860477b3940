"""A transport for Stripe's library: one time limit holds for a whole call.

The library's own clients limit each read only. A subclass of `stripe.HTTPClient` is its way to bring another one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx
import stripe

from celery_config.http.client import DeadlineClient

BAD_REQUEST = 400


class StripeTransport(stripe.HTTPClient):
    """Sends the library's requests; `seconds` limits one call in total."""

    name = "httpx"

    def __init__(self, *, seconds: float) -> None:
        super().__init__()
        self._client = DeadlineClient(seconds=seconds)
        self.limit = self._client.limit

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """The answer's text, status and headers.

        Raises:
            stripe.APIConnectionError: no complete answer within the limit.
            stripe.APIError: the answer is no object, or an error that does not say which; the library fails at both.
        """
        try:
            response = self._client.send(method.upper(), url, headers=headers or {}, content=post_data)
        except httpx.TransportError as error:
            reason = f"{type(error).__name__}: {error}"
            raise stripe.APIConnectionError(reason, should_retry=False) from error  # type: ignore[no-untyped-call]
        status, headers = response.status_code, response.headers
        if not is_readable(response.text, status):
            raise stripe.APIError("an answer that cannot be read", response.text, status, None, dict(headers))
        return response.text, status, headers


def is_readable(body: str, status: int) -> bool:
    """Whether the body has the form of Stripe's answers with this status."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(given, dict) and (status < BAD_REQUEST or isinstance(given.get("error"), dict))
