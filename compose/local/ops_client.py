"""The HTTP API of one service as `./manage.py ops` calls it: whatever its server answers, a call comes to an end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from celery_config.http.client import Deadline, DeadlineTransport
from compose.local.errors import LocalError
from compose.local.openapi import Operation, list_operations

SECONDS = 30.0
"""Of a whole call, however slowly the server answers."""
MOST_PAGES = 10_000
"""Of a list."""
deadline = Deadline()


class CallRefused(LocalError):
    """The service refuses a call or does not answer; `problem` says why (RFC 9457)."""

    def __init__(self, problem: Any) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Api:
    """The HTTP API of one service.

    Args:
        url: of the service.
        token: of a user, or the whole value of the header Authorization.
    """

    def __init__(self, url: str, token: str) -> None:
        scheme = "" if " " in token else "Token "
        headers = {"Accept": "application/json"} | ({"Authorization": f"{scheme}{token}"} if token else {})
        self.url = url.rstrip("/")
        # It also bounds an answer's size, and takes none that is packed: unpacked it could fill the memory.
        transport = DeadlineTransport(deadline)
        self.client = httpx.Client(
            base_url=self.url, headers=headers, timeout=SECONDS, transport=transport, trust_env=False
        )

    def send(self, method: str, path: str, **parts: Any) -> Any:
        """Make a call; return its answer, None if it is empty.

        Raises:
            CallRefused: the answer is an error, or there is none.
        """
        try:
            with deadline.hold(SECONDS):
                answer = self.client.request(method, path, **parts)
        except httpx.HTTPError as error:
            key = (parts.get("headers") or {}).get("Idempotency-Key")
            again = {"idempotency_key": key, "hint": "repeat it with --key: it is done once"} if key else {}
            raise CallRefused(
                {
                    "title": "No answer",
                    "detail": f"{method} {self.url}{path}: {error!r}",
                }
                | again
            ) from error
        try:
            told = json.loads(answer.content) if answer.content else None
        except (ValueError, RecursionError):
            told = {"status": answer.status_code, "detail": answer.content[:300].decode(errors="replace")}
        if not answer.is_success:
            raise CallRefused(told or {"status": answer.status_code, "title": answer.reason_phrase})
        return told

    def read_operations(self) -> list[Operation]:
        """Return what the service can do, as its document says.

        Raises:
            CallRefused: there is none.
        """
        told = self.send("GET", "/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
        try:
            return list_operations(told)
        except (AttributeError, KeyError, TypeError) as error:
            detail = f"{self.url}/api/schema/ answers with no OpenAPI document: {error!r}"
            raise CallRefused({"title": "No document", "detail": detail}) from error

    def read_all(self, path: str, query: Mapping[str, str]) -> Iterator[Any]:
        """Return each row of a list, page after page.

        Raises:
            CallRefused: the answer is an error or no page of a list, its pages go round, or there are too many.
        """
        asked, seen = dict(query), set[str]()
        for _ in range(MOST_PAGES):
            rows, cursor = read_page(self.send("GET", path, params=asked))
            yield from rows
            if not cursor:
                return
            if cursor in seen:
                raise CallRefused(describe_list(f"page {len(seen) + 1} leads back to a page that was read"))
            seen.add(cursor)
            # The token goes to the address that was given alone, wherever `next` leads.
            asked = {**query, "cursor": cursor}
        raise CallRefused(describe_list(f"there are more than {MOST_PAGES:,} pages; give filters"))


def read_page(page: Any) -> tuple[list[Any], str]:
    """Return the rows of a page of a list and the cursor of the next page; empty: it is the last.

    Raises:
        CallRefused: it is no page of a list.
    """
    try:
        rows, following = page["results"], page["next"]
        if not isinstance(rows, list):
            raise TypeError("its results are no list")
        (cursor,) = parse_qs(urlsplit(following).query)["cursor"] if following else ("",)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CallRefused(describe_list(f"an answer is no page of one: {error!r}")) from error
    return rows, cursor


def describe_list(fault: str) -> dict[str, str]:
    return {"title": "The list has no end", "detail": f"{fault}. What was read until here is printed."}
