"""The OpenAPI document: what each method takes and every answer it can give, derived from the views themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from http import HTTPStatus
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec
import pycountry
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from celery_config.common.email_address import validate_email_address
from celery_config.common.iso import validate_country, validate_currency
from celery_config.common.money import currency_digits
from celery_config.common.service_calls import CALLS
from celery_config.common.visible_text import INVISIBLE
from celery_config.web.fields import StrictIntegerField
from celery_config.web.idempotency_keys import PARAMETER, REPLAYED, KeyUse, find_key_use
from celery_config.web.inputs import ClientInput, KnownFieldsOnly
from celery_config.web.number_patterns import match_whole_numbers
from celery_config.web.permissions import find_needs
from celery_config.web.problems import PROBLEM_TYPE
from celery_config.web.refusals import ANY_CODE, find_refusals
from celery_config.web.text import validate_visible

# Halves of surrogate pairs cannot be written in a document, and no client can send one.
SHOWS_NOTHING = INVISIBLE.replace("\ud800-\udfff", "")
STORABLE_TEXT = r"^[^\u0000]*$"
VISIBLE_TEXT = rf"^[^\u0000]*[^{SHOWS_NOTHING}][^\u0000]*$"
EMPTY_OR_VISIBLE = rf"^([^\u0000]*[^{SHOWS_NOTHING}][^\u0000]*)?$"
EMPTY_OBJECT = {"type": "object", "additionalProperties": False}
TEXT = {"type": "string"}
PROBLEM = {
    "type": "object",
    "description": "An error (RFC 9457). Programs go by `code`; `title` and `detail` are for people.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"const": "about:blank"},
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "code": TEXT,
        "errors": {
            "type": "array",
            "description": "of `invalid` input: what is wrong with each field",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {"field": TEXT, "code": TEXT, "detail": TEXT},
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
PROBLEM_REF = "#/components/schemas/Problem"
SECONDS = {"description": "seconds", "schema": {"type": "integer", "minimum": 0}}
HEADERS: dict[int, dict[str, Any]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": {"required": True, "schema": TEXT}},
    HTTPStatus.CONFLICT: {"Retry-After": SECONDS},
    HTTPStatus.TOO_EARLY: {"Retry-After": {"required": True, **SECONDS}},
    HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": {"required": True, **SECONDS}},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": {"required": True, **SECONDS}},
}
"""What the refusals of a status carry."""
PEOPLE = {"tokenAuth", "cookieAuth"}


def describe_type(kind: Any) -> dict[str, Any]:
    """Return the JSON schema of a dataclass or TypedDict; the schemas of its parts stand where they are used."""
    (schema,), components = msgspec.json.schema_components([kind], ref_template="{name}")

    def resolve(part: Any) -> Any:
        match part:
            case {"$ref": name}:
                return resolve(components[name])
            case dict():
                return {name: resolve(value) for name, value in part.items()}
            case list():
                return [resolve(value) for value in part]
        return part

    resolved: dict[str, Any] = resolve(schema)
    return resolved


@cache
def name_routes() -> dict[str, str]:
    """The name of each route, as CALLS has it, by the route as its patterns write it."""

    def iterate(patterns: Iterable[URLPattern | URLResolver], above: str) -> Iterator[tuple[str, str]]:
        for each in patterns:
            route = above + str(each.pattern)
            if isinstance(each, URLResolver):
                yield from iterate(each.url_patterns, route)
            else:
                yield route, each.name or ""

    return dict(iterate(get_resolver().url_patterns, ""))


class ServiceSchema(AutoSchema):
    """One method of a view."""

    direction = ""
    """Of the serializer that is being described: `request` or `response`."""

    def get_operation(self, *args: Any, **options: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **options)
        if operation is not None:
            self.operation = operation
            operation["responses"] |= dict(self.describe_refusals(operation))
        return operation

    def get_serializer_name(self, serializer: Any, direction: Any = None) -> str:
        """A serializer that belongs to one API class carries its name: `StockApi.OutputSerializer` is `StockOutput`."""
        parts = type(serializer).__qualname__.split(".")
        return "".join(part.removesuffix("Api").removesuffix("Serializer") for part in parts)

    def get_auth(self) -> list[dict[str, list[str]]]:
        """The ways of logging in as somebody who may make this call."""
        auths: list[dict[str, list[str]]] = super().get_auth()
        if not self.view.get_permissions():
            return auths
        who = self.list_who_may()
        known = (PEOPLE if who["people"] else set()) | ({"serviceToken"} if who["services"] else set())
        return [each for each in auths if {*each} <= known]

    def list_who_may(self) -> dict[str, list[str]]:
        """The permissions of `people`, and the `services` and the operator, that this call needs."""
        call = f"{self.method} {name_routes().get(self.path_regex, '')}"
        services = [caller for caller, calls in CALLS[settings.SERVICE].items() if call in calls]
        return {"people": list(find_needs(self.view).get(self.method) or ()), "services": services}

    def get_extensions(self) -> dict[str, Any]:
        """Who may make the call: the permissions of a person, `any user`, and services by their tokens."""
        extensions: dict[str, Any] = super().get_extensions()
        return {**extensions, "x-allowed": self.list_who_may()} if self.view.get_permissions() else extensions

    def _resolve_path_parameters(self, variables: list[str]) -> list[dict[str, Any]]:
        """The words of an address that a view's `known_names` gives are listed."""
        found: list[dict[str, Any]] = super()._resolve_path_parameters(variables)
        if names := sorted(getattr(self.view, "known_names", ())):
            for each in found:
                each["schema"]["enum"] = names
        return found

    def _get_filter_parameters(self) -> list[dict[str, Any]]:
        """No filter is empty."""
        found: list[dict[str, Any]] = super()._get_filter_parameters()
        for each in found:
            if each["schema"] == TEXT:
                each["schema"] = {**TEXT, "pattern": VISIBLE_TEXT}
        return found

    def get_override_parameters(self) -> list[Any]:
        parameters = list(super().get_override_parameters())
        return [*parameters, PARAMETER, *ANSWER_HEADERS] if self.takes_key else parameters

    @property
    def takes_key(self) -> bool:
        return find_key_use(type(self.view), self.method)[0] is KeyUse.TAKEN

    def _get_request_body(self, direction: str = "request") -> dict[str, Any] | None:
        """DRF-spectacular leaves out the body of a DELETE; here one is described if the view names its serializer."""
        method, own = self.method, type(self).get_request_serializer
        if method == "DELETE" and own is not ServiceSchema.get_request_serializer:
            self.method = "POST"
        try:
            body: dict[str, Any] | None = super()._get_request_body(direction)
        finally:
            self.method = method
        return body

    def _get_request_for_media_type(self, serializer: Any, direction: str = "request") -> tuple[Any, bool]:
        """A body without fields is left out, or an empty object."""
        if serializer is ClientInput:
            return EMPTY_OBJECT, False
        found: tuple[Any, bool] = super()._get_request_for_media_type(serializer, direction)
        return found

    def _map_basic_serializer(self, serializer: Any, direction: str) -> dict[str, Any]:
        outer, self.direction = self.direction, direction
        try:
            schema: dict[str, Any] = super()._map_basic_serializer(serializer, direction)
        finally:
            self.direction = outer
        if direction == "request" and isinstance(serializer, KnownFieldsOnly):
            schema["additionalProperties"] = False
        if not vars(type(serializer)).get("__doc__"):  # what a base class says is for programmers
            schema.pop("description", None)
        return schema

    def _map_serializer_field(self, field: Any, direction: str, bypass_extensions: bool = False) -> Any:
        schema: Any = super()._map_serializer_field(field, direction, bypass_extensions)
        if type(field) is serializers.JSONField:  # any value, null among them
            schema = {name: text for name, text in schema.items() if name in ("description", "readOnly")}
        if isinstance(field, serializers.ListField) and not field.allow_empty:
            schema["minItems"] = max(1, field.min_length or 0)
        if direction == "request" and isinstance(field, StrictIntegerField):
            return allow_digits(schema, field)
        return schema

    def _insert_field_validators(self, field: Any, schema: dict[str, Any]) -> None:
        """Also what a text must have to be taken, and the codes that a validator knows."""
        super()._insert_field_validators(field, schema)
        if validate_email_address in field.validators:
            next(iter(schema.get("oneOf", [schema])))["format"] = "idn-email"
        if self.direction != "request":
            return
        if isinstance(field, serializers.CharField) and not {"format", "pattern", "oneOf"} & schema.keys():
            free = field.allow_blank or not field.trim_whitespace
            blank = EMPTY_OR_VISIBLE if validate_visible in field.validators else STORABLE_TEXT
            schema["pattern"] = blank if free else VISIBLE_TEXT
        for validator, codes in CODES.items():
            if validator in field.validators:
                schema["enum"] = codes()

    def describe_refusals(self, operation: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        """Each status of a refusal with its codes, as one of the document's responses."""
        self.registry.register_on_missing(
            ResolvedComponent("Problem", ResolvedComponent.SCHEMA, PROBLEM, object="Problem")
        )
        given = [each for each in operation.get("parameters", ()) if each["in"] != "path"]
        refusals = find_refusals(
            self.view,
            self.method,
            has_parameters=bool(given),
            has_id="{" in self.path,
        )
        for code, some in groupby(refusals, attrgetter("status")):
            yield str(code), self.register_refusals(code, [each.code for each in some])

    def register_refusals(self, status: int, codes: list[str]) -> dict[str, str]:
        known = {"enum": codes} if ANY_CODE not in codes else {}
        content = {
            "allOf": [
                {"$ref": PROBLEM_REF},
                {"properties": {"status": {"const": status}, "code": known}},
            ]
        }
        response: dict[str, Any] = {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM_TYPE: {"schema": content}},
        }
        if status in HEADERS:
            response["headers"] = HEADERS[status]
        name = ".".join([str(status), *("any" if code == ANY_CODE else code for code in codes)])
        self.registry.register_on_missing(
            ResolvedComponent(name, ResolvedComponent.RESPONSE, response, object=name)
        )
        return {"$ref": f"#/components/responses/{name}"}


CODES: dict[Any, Callable[[], list[str]]] = {
    validate_currency: lambda: sorted(currency_digits()),
    validate_country: lambda: sorted(each.alpha_2 for each in pycountry.countries),
}
"""What a validator takes."""
ANSWER_HEADERS = [
    OpenApiParameter(
        REPLAYED,
        {"const": "true"},
        OpenApiParameter.HEADER,
        response=[200, 201, 202],
        description="the request is a repeat, and did nothing",
    )
]


def drop_marks(result: Any, **_: Any) -> Any:
    """Remove what DRF-spectacular writes for its own use, from the whole document."""
    for part in result.values() if isinstance(result, dict) else result:
        if isinstance(part, dict):
            part.pop("x-spec-enum-id", None)
        if isinstance(part, dict | list):
            drop_marks(part)
    return result


def allow_digits(schema: dict[str, Any], field: StrictIntegerField) -> dict[str, Any]:
    """A whole number, or its ASCII digits as text."""
    names: tuple[str, ...] = ("description", "default", "title", "writeOnly")
    outer = {name: schema.pop(name) for name in names if name in schema}
    pattern = match_whole_numbers(field.min_value, field.max_value)
    return {**outer, "anyOf": [schema, {"type": "string", "pattern": pattern}]}
