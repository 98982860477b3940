"""What holds of every address under /api/ of a service."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

METHODS = ("get", "head", "options", "post", "put", "patch", "delete")
ARGUMENTS = {"uuid": str(UUID(int=7)), "str": "X1", "slug": "x1"}


def api_routes(patterns: Iterable[URLPattern | URLResolver] | None = None, above: str = "") -> Iterator[str]:
    """Each route under /api/, as its patterns write it."""
    for each in get_resolver().url_patterns if patterns is None else patterns:
        route = above + str(each.pattern)
        if isinstance(each, URLResolver):
            if route.startswith("api/"):
                yield from api_routes(each.url_patterns, route)
        elif route.startswith("api/"):
            yield route


def make_address(route: str) -> str:
    return "/" + re.sub(r"<(\w+):\w+>", lambda found: ARGUMENTS[found[1]], route)


def assert_reached_without_slash(client: APIClient, route: str) -> None:
    """With and without its last slash an address reaches the same view, by every method."""
    address = make_address(route)
    assert address.endswith("/")
    for method in METHODS:
        answers: list[Any] = [
            getattr(client, method)(spelling) for spelling in (address, address.removesuffix("/"))
        ]
        reached = [(answer.status_code, answer.wsgi_request.resolver_match.route) for answer in answers]
        assert reached == [(answers[0].status_code, route)] * 2, method
        assert not 300 <= answers[0].status_code < 400, method
