"""Every text that people write in the bodies of the API: one of which nothing can be seen is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.plumbing import force_instance
from rest_framework import serializers

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


def iterate_texts(field: Any, name: str) -> Iterator[tuple[str, serializers.CharField]]:
    """The texts of a body that can be written, each with its place."""
    if isinstance(field, serializers.ListSerializer | serializers.ListField):
        yield from iterate_texts(field.child, f"{name}[]")
    elif isinstance(field, serializers.BaseSerializer):
        for each, part in getattr(field, "fields", {}).items():
            if not part.read_only:
                yield from iterate_texts(part, f"{name}.{each}")
    elif isinstance(field, serializers.CharField):
        yield name, field


def find_texts() -> dict[str, serializers.CharField]:
    """Every text of the bodies that people send to this service."""
    texts = (text for body in list_client_inputs() for text in iterate_texts(body, type(body).__name__))
    return {name: field for name, field in texts if not name.startswith(QUESTIONS)}


def find_taken_texts() -> list[str]:
    """The texts of bodies that take one of which nothing can be seen."""
    return [name for name, field in find_texts().items() if is_taken(field, INVISIBLE)]


def is_taken(field: serializers.CharField, text: str) -> bool:
    try:
        field.run_validation(text)
    except serializers.ValidationError:
        return False
    return True
