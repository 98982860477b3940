"""Privacy: of a message that may be broken, what the contracts of this release know and do not mark is shown. Pure.

A text under any other name may be anything. It is hidden until somebody asks for it with a reason; a payment token is
hidden always. Pages, answers and texts about messages all decide by these functions.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import is_dataclass
from datetime import date, datetime
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, get_args, get_type_hints
from uuid import UUID

from celery_config import contracts
from celery_config.common.services import SERVICES
from celery_config.contracts.base import Message, Value, contract_fields, snake_case

NO_CUSTOMER = UUID(int=0)
"""Replaces a customer's id where the contract requires one."""
BLANKS = {UUID: str(NO_CUSTOMER), datetime: "1970-01-01T00:00:00Z", date: "1970-01-01"}
"""What replaces a personal text that is not read as a text, so that every reader can still decode the message."""
SOUNDS_PERSONAL = frozenset([
    "name", "firstname", "lastname", "surname", "email", "mail", "phone", "telephone", "mobile", "address", "street",
    "card", "token", "iban", "account", "birth", "birthday", "birthdate", "passport", "person", "guest", "passenger",
])  # fmt: skip
"""Words in the names of fields that often hold a person's data."""
SECRET_FIELDS = ("payment_token",)
CARRIED = frozenset([
    "id", "source", "type", "subject", "time", "specversion", "datacontenttype", "saga", "step", "operation",
    "outcome", "flow", "drive", "epoch", "service", "known", "attempt", "pivot", "failed", "incomplete",
    "request_id", "traceparent", "task", "task_id", "root_id", "parent_id", "group", "lang", "origin", "retries",
    "subtask_type", "immutable", "exchange", "routing_key", "routing-keys", "mandatory", "queue", "count",
    "x-delivery-count", "x-first-death-queue", "x-first-death-exchange", "x-last-death-queue",
    "x-last-death-exchange",
])  # fmt: skip
"""Names of what carries a contract's message: events, links, Celery's and the broker's own. What repeats arguments as
a text (`argsrepr`, `kwargsrepr`) is none of them, nor what holds further fields, nor a code that proves a sender."""
HIDDEN = "hidden"
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
LARGEST_SHOWN = 10**6
"""A larger number under an unknown name may be that of a telephone or a card."""
NAME = re.compile(r"[A-Za-z0-9_.:/+-]{1,120}\Z")
"""What an id, a time, or the name of a step, task or queue looks like; an e-mail address and a sentence do not."""
SHOWN_NAME = f"^{NAME.pattern}"
"""The same for a database. No search finds a row by a hidden name: each result would show a part of that name."""
KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]{0,79}\Z")
"""What the name of a field looks like."""
SECRET_NAME = re.compile("|".join(SECRET_FIELDS).replace("_", "[ _-]?"), re.IGNORECASE)
"""A broken message may write the name in another way: `paymentToken`."""
TOKEN_IN_TEXT = re.compile(rf"({SECRET_NAME.pattern})([^\w\s]*\s*[^\w\s]*)[^\s\"',}}\]]+", re.IGNORECASE)
"""A payment token in a text that repeats a message."""
QUOTED = re.compile(r"(?<!\w)b?(?:'(?:\\.|[^'\\])*(?:'|\Z)|\"(?:\\.|[^\"\\])*(?:\"|\Z))", re.DOTALL)
"""A value within a text, as `repr` writes it, also one that is cut off."""
OWN_WORDS = frozenset(
    ["commands", "urgent", "tasks", "urgent-tasks", "unrouted", "again", "do", "undo", "fence"]
)
"""In names of ours, beside those of fields, contracts and services."""


@cache
def list_contracts() -> tuple[type, ...]:
    """The commands, events, replies and values of this release; of all services, whichever this process is."""
    modules = [
        import_module(f"{contracts.__name__}.{each.name}") for each in iter_modules(contracts.__path__)
    ]
    return tuple(kind for module in modules for kind in vars(module).values() if is_contract(kind))


def is_contract(kind: Any) -> bool:
    if not (isinstance(kind, type) and is_dataclass(kind)):
        return False
    return issubclass(kind, (Message, Value)) or kind.__module__ == f"{contracts.__name__}.values"


@cache
def list_personal_fields() -> Mapping[str, str]:
    """What replaces each personal text. Its name is the same in all contracts and in all stored requests."""
    blanks: dict[str, str] = {}
    for kind in list_contracts():
        for name in getattr(kind, "personal", ()):
            blanks[name] = find_blank(kind, name) or blanks.get(name, "")
    return blanks


def find_blank(kind: type, name: str) -> str:
    """What replaces the texts of a field: empty, if its type reads any text."""
    return next((BLANKS[each] for each in list_types(get_type_hints(kind)[name]) if each in BLANKS), "")


def list_types(hint: Any) -> list[Any]:
    """The types that an annotation names, without what holds them, such as a tuple."""
    return [each for part in get_args(hint) for each in list_types(part)] or [hint]


def find_unmarked(kind: type) -> list[str]:
    """Return the fields that sound like a person's data and are marked nowhere: an erasure would leave them.

    An id, a truth and a value with fields of its own are none.
    """
    hints = get_type_hints(kind)
    return [
        field.name
        for field in contract_fields(kind)
        if SOUNDS_PERSONAL.intersection(field.name.split("_"))
        and field.name not in list_personal_fields()
        and field.name not in getattr(kind, "not_personal", ())
        and any(each in (str, int, date, datetime) for each in list_types(hints[field.name]))
    ]


@cache
def list_known_names() -> frozenset[str]:
    """The names of the fields of all contracts and of what carries them, but of those that hold further fields."""
    holders = {kind.__name__ for kind in list_contracts()}
    return CARRIED.union(
        field.name
        for kind in list_contracts()
        for field in contract_fields(kind)
        if holders.isdisjoint(re.findall(r"\w+", str(field.type)))
    )


@cache
def list_known_words() -> frozenset[str]:
    """The words that our own names of tasks, events, queues and fields consist of."""
    kinds = (snake_case(kind.__name__) for kind in list_contracts())
    return list_known_names().union(kinds, SERVICES, OWN_WORDS)


def may_show(name: str, value: Any) -> bool:
    """Whether a value that holds no others is shown without asking.

    Args:
        name: of the field that holds it, as `pass_name_on` gives it.
    """
    if name in list_personal_fields() or name in SECRET_FIELDS:
        return False
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, str) and name in CARRIED:
        return hide_name(value) == value
    if name in list_known_names():
        return True
    if isinstance(value, str):
        return ID.fullmatch(value) is not None
    return isinstance(value, int) and abs(value) < LARGEST_SHOWN


def pass_name_on(above: str, key: str) -> str:
    """Return the name by which is judged what lies under a key: a broken message holds objects where texts should be.

    Args:
        above: the name of what holds the object.
    """
    if SECRET_NAME.fullmatch(key) or above in SECRET_FIELDS:
        return SECRET_FIELDS[0]
    return above if above in list_personal_fields() else key


def hide_key(key: str) -> str:
    """Return the key of an object; one that is no name, such as a person's address, is hidden."""
    return key if KEY.match(key) else HIDDEN


def hide_private(value: Any, name: str = "") -> Any:
    """Return a JSON value with each text hidden that is not shown without asking.

    Args:
        name: of the field that holds it.
    """
    if isinstance(value, list):
        return [hide_private(each, name) for each in value]
    if isinstance(value, dict):
        return {
            (shown if (shown := hide_key(key)) != HIDDEN else f"{HIDDEN} {number}"): hide_private(
                each, pass_name_on(name, key)
            )
            for number, (key, each) in enumerate(value.items(), start=1)
        }
    return value if may_show(name, value) else HIDDEN


def hide_name(text: str) -> str:
    """Return the name of a task, step or queue as a sender wrote it, hidden if it does not look like one."""
    return text if not text or NAME.match(text) else HIDDEN


def cut_tokens(text: str) -> str:
    """Return a text that may repeat a message, without its payment tokens."""
    return TOKEN_IN_TEXT.sub(rf"\1\2{HIDDEN}", text)


def hide_quoted(text: str, known: Collection[str] = ()) -> str:
    """Return what is said about a message without the values that it quotes; names of ours stay.

    Args:
        known: further names that stay.
    """

    def hide(found: re.Match[str]) -> str:
        inner = found[0].lstrip("b")[1:].rstrip("'\"")
        ours = inner in known or list_known_words().issuperset(inner.split("."))
        return found[0] if ours else HIDDEN

    return QUOTED.sub(hide, cut_tokens(text))
