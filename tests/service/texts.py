"""What people write in the bodies of the API: a text that shows nothing is refused, each refusal has a code we list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.plumbing import force_instance
from rest_framework import serializers

from celery_config.web.filters import StrictFilterBackend
from celery_config.web.inputs import KnownFieldsOnly
from tests.service.forms import INVISIBLE
from tests.service.permissions import NO_PERSON, iterate_routes, read_table

# Compared with what is there, and kept nowhere: a login, and the questions about copies.
QUESTIONS = ("TokenInput.username", "TokenInput.password", "PiecesInput.", "RowsInput.")


def list_client_inputs() -> Iterator[serializers.Serializer[Any]]:
    """The body of each call that a person may make, and every other serializer for such bodies."""
    generator = SchemaGenerator()  # it holds the schemas of its views
    callbacks = {f"/{route}": pattern.callback for route, pattern in iterate_routes()}
    for call, row in read_table()["api"].items():
        method, route = call.split()
        if method in ("POST", "PUT", "PATCH") and row["people"] != NO_PERSON:
            view = generator.create_view(callbacks[route], method)
            view.schema.method = method
            body = force_instance(view.schema.get_request_serializer())
            if isinstance(body, serializers.BaseSerializer):
                yield body
    for kind in iterate_subclasses(KnownFieldsOnly):
        if issubclass(kind, serializers.BaseSerializer):
            yield kind()


def iterate_subclasses(kind: type) -> Iterator[type]:
    for each in kind.__subclasses__():
        yield each
        yield from iterate_subclasses(each)


def iterate_fields(field: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A body, and each part of it that can be written, with its place."""
    yield name, field
    if isinstance(field, serializers.ListSerializer | serializers.ListField):
        yield from iterate_fields(field.child, f"{name}[]")
    elif isinstance(field, serializers.BaseSerializer):
        for each, part in getattr(field, "fields", {}).items():
            if not part.read_only:
                yield from iterate_fields(part, f"{name}.{each}")


def find_fields() -> dict[str, Any]:
    """Every part of the bodies that people send to this service."""
    return dict(part for body in list_client_inputs() for part in iterate_fields(body, type(body).__name__))


def find_texts() -> dict[str, serializers.CharField]:
    """Every text of the bodies that people send to this service."""
    return {
        name: field
        for name, field in find_fields().items()
        if isinstance(field, serializers.CharField) and not name.startswith(QUESTIONS)
    }


def find_codes() -> set[str]:
    """The codes with which a field of a body, or a filter of a list, may be refused."""
    fields = [*find_fields().values(), *iterate_filters()]
    messages = {code for field in fields for code in field.error_messages}
    return messages | {each.code for field in fields for each in field.validators if hasattr(each, "code")}


def iterate_filters() -> Iterator[Any]:
    """The form field of each filter of each list."""
    for _, pattern in iterate_routes():
        view = getattr(pattern.callback, "cls", None)
        if hasattr(view, "filterset_fields"):
            rows = getattr(view, "queryset", None)
            yield from StrictFilterBackend().get_filterset_class(view, rows)().form.fields.values()


def find_taken_texts() -> list[str]:
    """The texts of bodies that take one of which nothing can be seen."""
    return [name for name, field in find_texts().items() if is_taken(field, INVISIBLE)]


def is_taken(field: serializers.CharField, text: str) -> bool:
    try:
        field.run_validation(text)
    except serializers.ValidationError:
        return False
    return True
