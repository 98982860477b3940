"""What holds of every address under /api/ of a service."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, resolve
from rest_framework.test import APIClient

from celery_config.web.idempotency_keys import find_key_use
from tests.service.addresses import make_address
from tests.service.declared_answers import read_document

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "api.md"
KEY_ROW = re.compile(r"\| ([a-z, ]+) \| (`/api/.*`) \| (taken|ignored|refused)\b")
METHODS = ("get", "head", "options", "post", "put", "patch", "delete")


def api_routes(patterns: Iterable[URLPattern | URLResolver] | None = None, above: str = "") -> Iterator[str]:
    """Each route under /api/, as its patterns write it."""
    for each in get_resolver().url_patterns if patterns is None else patterns:
        route = above + str(each.pattern)
        if isinstance(each, URLResolver):
            if route.startswith("api/"):
                yield from api_routes(each.url_patterns, route)
        elif route.startswith("api/"):
            yield route


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


def find_undocumented_routes() -> list[str]:
    """The addresses of this service's schema that the page of the APIs lacks."""
    page = DOCUMENT.read_text()
    routes = (re.sub(r"\{([a-z]+_id|customer)\}", "{id}", route) for route in read_document()["paths"])
    return [route for route in routes if f"`{route}`" not in page]


def assert_parameters_are_given_once(client: Client) -> None:
    """Of two values a list would take the last, and the caller would not know that the first is ignored."""
    asked = 0
    for route, call in read_document()["paths"].items():
        asks = {
            each["name"]: make_value(each["schema"])
            for each in call.get("get", {}).get("parameters", ())
            if each["in"] == "query"
        }
        if "{" in route:
            continue
        for name, value in asks.items():
            answer = client.get(route, {name: [value, value]})
            if answer.status_code == 403:
                continue
            assert answer.status_code == 400, (route, name)
            (error,) = answer.json()["errors"]
            assert (error["field"], error["code"]) == (name, "repeated_filter"), route
            asked += 1
    assert asked


def assert_no_parameter_is_empty(client: Client) -> None:
    """What a value of its type cannot be is refused; else the caller would not know that it does not count."""
    for route, call in read_document()["paths"].items():
        for each in call.get("get", {}).get("parameters", ()):
            schema = each["schema"]
            is_text = schema["type"] == "string" and not schema.keys() & {"format", "enum"}
            takes_empty = is_text and re.search(schema.get("pattern", ""), "")
            if each["in"] != "query" or takes_empty or "{" in route:
                continue
            answer = client.get(route, {each["name"]: ""})
            assert answer.status_code in (400, 403), (route, each["name"])


def make_value(schema: dict[str, Any]) -> str:
    """A value that a parameter takes."""
    if "examples" in schema:
        return str(schema["examples"][0])
    if "enum" in schema:
        return str(schema["enum"][0])
    return {"uuid": str(UUID(int=7)), "date-time": "2026-11-29T00:00:00Z"}.get(schema.get("format", ""), "1")


def documented_keys() -> dict[str, str]:
    """What docs/reference/api.md says that each POST of this service does with an Idempotency-Key."""
    rows = [found for line in DOCUMENT.read_text().splitlines() if (found := KEY_ROW.match(line))]
    return {
        address: use
        for services, addresses, use in (row.groups() for row in rows)
        if {settings.SERVICE, "all"} & set(services.split(", "))
        for address in re.findall("`([^`]+)`", addresses)
    }


def declared_keys() -> dict[str, str]:
    """What each POST of this service does with an Idempotency-Key."""
    found = {}
    for route in api_routes():
        view = getattr(resolve(make_address(route)).func, "cls", None)
        if hasattr(view, "post"):
            address = re.sub(
                r"<\w+:(\w+)>", lambda name: "{" + ("id" if name[1] == "pk" else name[1]) + "}", route
            )
            found[f"/{address}"] = str(find_key_use(view, "post")[0])
    return found
