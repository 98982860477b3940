"""Base classes of all contracts: newer and older workers understand each other's messages (rule 24, versions). Pure.

A contract is a frozen dataclass; msgspec encodes and decodes it. A decoder checks every type, ignores unknown fields
and fills missing ones from their defaults, so a command can gain a field with a default.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

T = TypeVar("T")
COMMAND_IDS = uuid5(NAMESPACE_URL, "order-saga:command-id")


@functools.cache
def snake_case(name: str) -> str:
    """`ReserveStock` -> `reserve_stock`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Contract:
    """What messages are made of, with the one mark of what is a person's."""

    personal: ClassVar[tuple[str, ...]] = ()
    """The fields that hold a person's data: an erasure blanks them, and pages hide them until somebody asks.

    A name that one contract marks is personal wherever it comes, since logs and outboxes know names alone.
    """
    not_personal: ClassVar[tuple[str, ...]] = ()
    """The fields that sound like a person's data and are none; `check` warns of others that sound so."""


class Message(Contract):
    """A contract of one service: that of its module's name, if the class names no other.

    Its name on the wire is `service.snake_case_of_the_class`.
    """

    service: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__module__ != __name__ and not hasattr(cls, "service"):
            cls.service = cls.__module__.rpartition(".")[2]

    @classmethod
    def wire_name(cls) -> str:
        return f"{cls.service}.{snake_case(cls.__name__)}"


class Value(Contract):
    """A value of several fields within messages.

    It is stored and sent without the fields that have their default. So a value that needs none of the fields that
    came later looks in every release, and in every copy, as it did in the first one.
    """


class Event(Message):
    """What happened, in the past tense; announced to all subscribers."""


class Reply(Event):
    """What a step did. It travels along the chain, and is announced as an event."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refusal(Event):
    """A business "no": final, stored, announced. `code` is stable, `reason` is for people."""

    # Free text, such as `cancelled by ada`.
    personal = ("reason",)

    code: str
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepGaveUp(Event):
    """A participant's tries of a step are used up; its barrier says whether the step was done."""

    service = "step"
    personal = ("reason",)
    code: str
    reason: str
    tries: int = 0
    """How often it was tried; 0: an older version does not say."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepTried(Event):
    """A try of a step did not succeed; its participant says when the next one is, or gives up.

    The step is in the data and not in the envelope: an older order service would take it for an outcome.
    """

    service = "step"
    personal = ("reason",)
    step: str
    operation: str
    number: int
    """How often it was tried, over all drives."""
    code: str
    reason: str
    next_at: datetime | None = None
    """None: it was the last try of this drive."""


TOLD_SINGLY = 8
"""So many tries of a step are announced one by one."""


def is_told(number: int) -> bool:
    """Whether the try of this number is announced: the first eight, then four in each doubling of their number.

    A provider that is away is asked again every five seconds by each saga. In a day that is 17 280 tries, of which 52
    are told; a thousand sagas write 52 000 rows instead of 17 millions. Those that use up tries are few: five a drive,
    and the drives grow rare; the last one of a drive is told always.
    """
    return number <= TOLD_SINGLY or number % (1 << (number.bit_length() - 3)) == 0


LOST = "step_lost"
"""The code of a step that was done and of which its service knows nothing any more."""


class Command(Message):
    """What a participant is asked to do, in the imperative."""

    done: ClassVar[type[Reply]]
    refused: ClassVar[type[Refusal] | None] = None
    provider: ClassVar[str] = ""
    """Who outside of our services carries it out, for people: "payment provider"; empty: its service itself does."""
    hashed_defaults: ClassVar[tuple[str, ...]] = ()
    """Fields with a default that the command's first release had: they count in its hash where they differ from it."""

    @property
    def subject(self) -> str:
        """What the command is about (its first field), for logs and for the subject of its events."""
        return str(getattr(self, contract_fields(self)[0].name))


C = TypeVar("C", bound=Command)
SERVICE_NAME, WIRE_NAME = re.compile(r"[a-z_]+"), re.compile(r"[a-z_]+\.[a-z_]+")
"""The broker lets a service send under such keys alone."""


def find_contract_fault(kind: Any, base: type[Message]) -> str | None:
    """Say why a class is no `base` that can be sent, and what to write instead; None: it is one."""
    name = getattr(kind, "__name__", repr(kind))
    if not (isinstance(kind, type) and issubclass(kind, base)):
        return f"{name} is no {base.__name__}; write class {name}({base.__name__})"
    if not dataclasses.is_dataclass(kind):
        return f"{name} is no dataclass; write @dataclass(frozen=True, kw_only=True) above it"
    if not WIRE_NAME.fullmatch(kind.wire_name()):
        return f"{name} is called {kind.wire_name()} on the wire; write its name and its service with letters alone"
    return None


def find_command_fault(command: Any) -> str | None:
    """Say why a command cannot be sent or answered, and what to write instead; None: it can."""
    if fault := find_contract_fault(command, Command):
        return fault
    name = command.__name__
    if not contract_fields(command):
        return f"{name} has no field; its first one is the id of what it is about"
    if not hasattr(command, "done"):
        return f"{name} names no reply; write done = … in it, with a class derived from Reply"
    answers = [(command.done, Reply)] + ([(command.refused, Refusal)] if command.refused else [])
    for answer, base in answers:
        if fault := find_contract_fault(answer, base):
            return f"the answer of {name}: {fault}"
        if answer.service != command.service:
            return (
                f"{name} belongs to {command.service}, and its answer {answer.__name__} to {answer.service}; write both"
                " into the module of the service that carries it out, or the same service = … in both"
            )
    return None


def contract_fields(contract: Any) -> tuple[dataclasses.Field[Any], ...]:
    """The fields of a contract: a dataclass, though the type of its base class does not say so."""
    return _list_fields(contract if isinstance(contract, type) else type(contract))


@functools.cache
def _list_fields(kind: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(kind)


def encode(message: Any) -> dict[str, Any]:
    """Return the dataclass as JSON-ready builtins (UUIDs and dates as strings, tuples as lists)."""
    encoded: dict[str, Any] = msgspec.to_builtins(message)
    if isinstance(message, Value):
        return omit_defaults(message, encoded)
    for name, value in getattr(message, "__dict__", {}).items():
        if isinstance(value, Value):
            omit_defaults(value, encoded[name])
    return encoded


def omit_defaults(value: Value, encoded: dict[str, Any]) -> dict[str, Any]:
    """Remove from an encoded value the fields that have their default, and return it."""
    for field in contract_fields(value):
        if getattr(value, field.name) == field.default:
            encoded.pop(field.name, None)  # msgspec itself leaves it out of a value that it has decoded so
    return encoded


def decode(kind: type[T], data: Any) -> T:
    """Return `data` as a `kind`.

    Raises:
        msgspec.ValidationError: a field is missing or of the wrong type; the text names it.
    """
    return msgspec.convert(data, kind, strict=False)


def command_id(saga: UUID, step: str, operation: str) -> UUID:
    """The identity of one operation of one step: the barrier's key and the provider's idempotency key.

    It never contains the attempt, so that every repeat is recognised (rule 2, ids).
    """
    return uuid5(COMMAND_IDS, f"{saga}/{step}/{operation}")


def fill_command(
    kind: type[C], fields: Mapping[str, Any], needs: Mapping[str, str], replies: Mapping[str, Any]
) -> C:
    """Return a command from its message and the replies before it.

    Args:
        needs: the fields that come from a reply, with its step. A reply that an older release stored may lack a field
            that came later; the command then takes its default.

    Raises:
        msgspec.ValidationError: a field is missing or of the wrong type.
    """
    optional = {field.name for field in contract_fields(kind) if not is_required(field)}
    try:
        needed = {
            name: replies[step][name]
            for name, step in needs.items()
            if name in replies[step] or name not in optional
        }
    except (KeyError, TypeError) as error:
        raise msgspec.ValidationError(f"the replies before it lack what it needs: {error!r}") from error
    return decode(kind, {**fields, **needed})


def command_hash(command: Any) -> str:
    """SHA-256 (hex) over what every release knows of a command: its fields without a default, also in its values.

    A saga under way is driven again by the code of the day. A field that was added since may then be filled from the
    saga's data, from a reply or from an event; it has a default, so it is still the same command (rule 5, the barrier).
    """
    text = json.dumps(select_hashed(command), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def select_hashed(value: Any) -> Any:
    """`value` as JSON-ready builtins; of a dataclass only the fields that count in a hash."""
    if isinstance(value, list | tuple):
        return [select_hashed(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return encode(value)
    counted = getattr(value, "hashed_defaults", ())
    return {
        field.name: select_hashed(given)
        for field in dataclasses.fields(value)
        for given in [getattr(value, field.name)]
        if is_required(field) or (field.name in counted and given != field.default)
    }


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Whether the field has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
