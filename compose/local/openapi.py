"""The operations of an OpenAPI document as words: `POST /api/sagas/{id}/retry/` is `sagas retry ID`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from celery_config.common.visible_text import escape_controls

READ = "GET"
PATH, NAME = re.compile(r"/api/[a-z0-9_/{}-]*"), re.compile(r"[A-Za-z]\w*", re.ASCII)
"""What is no address and no name of ours is left out: a terminal shows both."""
LAST_WORDS = {"POST": "new", "PUT": "replace", "PATCH": "change", "DELETE": "end"}
"""The last word of an operation whose address is that of a list or a row."""


@dataclass(frozen=True)
class Option:
    """A field of a body, or a parameter of an address.

    Args:
        kind: its type in JSON Schema; empty: any.
    """

    name: str
    kind: str
    about: str
    is_required: bool

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"


@dataclass(frozen=True)
class Operation:
    """One call.

    Args:
        words: how the command line names it.
        ids: the parameters within its path.
        takes_key: whether it takes an Idempotency-Key.
        is_list: whether it answers page by page.
    """

    words: tuple[str, ...]
    method: str
    path: str
    about: str
    ids: tuple[str, ...]
    options: tuple[Option, ...]
    takes_key: bool
    is_list: bool

    @property
    def reads(self) -> bool:
        return self.method == READ

    def fill(self, ids: Mapping[str, str]) -> str:
        """Return the path with these ids."""
        return re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], self.path)


def list_operations(document: Mapping[str, Any]) -> list[Operation]:
    """Return the operations of a document under /api/, in the order of their words."""
    made = [
        make_operation(document, method.upper(), path, described, is_list=has_pages(methods))
        for path, methods in document["paths"].items()
        for method, described in methods.items()
        if PATH.fullmatch(path)
    ]
    return sorted(made, key=lambda each: (each.words, each.method))


def has_pages(methods: Mapping[str, Any]) -> bool:
    """Whether an address is that of a list, which is read page by page."""
    return any(each["name"] == "limit" for each in methods.get("get", {}).get("parameters", []))


def make_operation(
    document: Mapping[str, Any], method: str, path: str, described: Mapping[str, Any], *, is_list: bool
) -> Operation:
    parameters = described.get("parameters", [])
    in_query = [each for each in parameters if each["in"] == "query" and NAME.fullmatch(each["name"])]
    return Operation(
        words=name_operation(method, path, is_list=is_list),
        method=method,
        path=path,
        about=clean(described),
        ids=tuple(re.findall(r"\{(\w+)\}", path)),
        options=(*map(read_parameter, in_query), *list_fields(document, described)),
        takes_key=any(each["name"] == "Idempotency-Key" for each in parameters),
        is_list=any(each["name"] == "cursor" for each in in_query),
    )


def name_operation(method: str, path: str, *, is_list: bool) -> tuple[str, ...]:
    """Return the words of an operation: those of its path, and what is done where the path does not say it."""
    parts = path.removeprefix("/api/").strip("/").split("/")
    words = [part for part in parts if not part.startswith("{")]
    if method != READ:
        is_verb = method == "POST" and len(words) > 1 and words[-1] != "pauses" and not is_list
        return (*words, *([] if is_verb else [LAST_WORDS[method]]))
    if parts[-1].startswith("{"):
        return (*words, "show")
    return (*words, "list") if is_list and len(words) == 1 else (*words,)


def read_parameter(parameter: Mapping[str, Any]) -> Option:
    kind = str(parameter.get("schema", {}).get("type", ""))
    return Option(parameter["name"], kind, clean(parameter), parameter.get("required", False))


def clean(described: Mapping[str, Any]) -> str:
    """Return a description in one line, without what a terminal takes for a command."""
    return escape_controls(" ".join(described.get("description", "").split()))


def list_fields(document: Mapping[str, Any], described: Mapping[str, Any]) -> Iterator[Option]:
    """The fields of the body of an operation; of several kinds of body JSON."""
    content = described.get("requestBody", {}).get("content", {})
    schema = resolve(document, content.get("application/json", {}).get("schema", {}))
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        if not NAME.fullmatch(name):
            continue
        field = resolve(document, field)
        kinds = field.get("type", "")
        kind = next((each for each in kinds if each != "null"), "") if isinstance(kinds, list) else kinds
        yield Option(name, kind, clean(field), name in required)


def resolve(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema that a reference names."""
    name = schema.get("$ref", "").rpartition("/")[2]
    found: Mapping[str, Any] = document["components"]["schemas"][name] if name else schema
    return found
