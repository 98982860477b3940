"""Saga DSL: a saga is declared as a class, and a wrong declaration is a `DefinitionError` at import. Pure.

    class BookTrip(Saga):
        name, version, deadline, data = "book-trip", 1, minutes(15), TripData
        steps = [
            compensatable("book-hotel", BookHotel, undo=CancelHotel),
            pivot("take-fare", TakeFare),
            retriable("send-tickets", SendTickets),
        ]

A saga (Garcia-Molina and Salem, 1987) has compensatable steps, then at most one pivot, then retriable steps
(Richardson, Microservices Patterns, chapter 4). A saga of retriable steps alone has no way back: it only goes forward.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Container, Sequence
from enum import StrEnum
from typing import Any, ClassVar

from celery_config.common.timeouts import Timeouts
from celery_config.contracts.base import (
    Command,
    contract_fields,
    find_command_fault,
    is_required,
)
from celery_config.errors import DefinitionError


class StepKind(StrEnum):
    COMPENSATABLE = "compensatable"
    PIVOT = "pivot"
    RETRIABLE = "retriable"


class Via(StrEnum):
    """How a participant gets a command: as a message for its worker, or over its REST API."""

    AMQP = "amqp"
    HTTP = "http"


LONGEST_NAME, HIGHEST_VERSION = 80, 32767
"""Of what the database stores of a saga or a step."""


@dataclasses.dataclass(frozen=True)
class Step:
    name: str
    kind: StepKind
    command: type[Command]
    undo: type[Command] | None = None
    via: Via = Via.AMQP


def compensatable(name: str, command: type[Command], *, undo: type[Command], via: str = Via.AMQP) -> Step:
    """A step that `undo` compensates."""
    return Step(name, StepKind.COMPENSATABLE, command, undo, Via(via))


def pivot(name: str, command: type[Command], *, via: str = Via.AMQP) -> Step:
    """The point of no return: once it ran, the saga only goes forward."""
    return Step(name, StepKind.PIVOT, command, via=Via(via))


def retriable(name: str, command: type[Command], *, via: str = Via.AMQP) -> Step:
    """A step after the pivot; it is retried until it succeeds."""
    return Step(name, StepKind.RETRIABLE, command, via=Via(via))


def minutes(count: float) -> float:
    """Seconds."""
    return count * 60


def ignore(ended: Sequence[Any]) -> None:
    """The callback of a saga that has none."""


class Saga:
    """Base class of sagas; one subclass for each version of each saga."""

    name: ClassVar[str]
    version: ClassVar[int]
    deadline: ClassVar[float]
    """Seconds of saga time after which a saga that has not passed its pivot is stopped."""
    data: ClassVar[type]
    """A frozen dataclass: what is known at the start. Its first field is the subject's id."""
    steps: ClassVar[Sequence[Step]]
    noun: ClassVar[str] = "flow"
    """What a run of it is, for people: an order, a refund."""

    registry: ClassVar[dict[tuple[str, int], type[Saga]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if fault := find_fault(cls):
            raise DefinitionError(f"{cls.__name__}: {fault}")
        if Saga.registry.setdefault((cls.name, cls.version), cls) is not cls:
            raise DefinitionError(
                f"{cls.__name__}: {cls.name} version {cls.version} exists; raise the version"
            )

    on_completed: ClassVar[Callable[..., None]] = staticmethod(ignore)
    """Called with a list of (`data`, `replies` by step), one for each saga that the transaction completes."""
    on_compensated: ClassVar[Callable[..., None]] = staticmethod(ignore)
    """Called with a list of (`data`, `cause`: `step`, `code`, `reason`), one for each saga that it compensates."""

    @classmethod
    def index(cls, step: str) -> int:
        """The position of the step with this name."""
        return next(i for i, s in enumerate(cls.steps) if s.name == step)

    @classmethod
    def only_forward(cls) -> bool:
        """Whether the saga cannot be compensated: every step is retriable."""
        return all(s.kind is StepKind.RETRIABLE for s in cls.steps)

    @classmethod
    def pivot_index(cls) -> int:
        """The position of the pivot. Without one: the number of steps, or -1 if the saga only goes forward."""
        none = -1 if cls.only_forward() else len(cls.steps)
        return next((i for i, s in enumerate(cls.steps) if s.kind is StepKind.PIVOT), none)

    @classmethod
    def is_past_pivot(cls, done: Container[str]) -> bool:
        """Whether the pivot is among the steps that are done."""
        return any(s.kind is StepKind.PIVOT and s.name in done for s in cls.steps)


def find_saga(name: str, version: int) -> type[Saga] | None:
    """The definition of a saga, or None if this code does not know it."""
    return Saga.registry.get((name, version))


def field_sources(saga: type[Saga], step: Step, command: type[Command]) -> dict[str, str]:
    """The fields of `command` that come from an earlier step's reply, with that step; the saga's data has the others.

    Raises:
        DefinitionError: a field has no source, or several that are not the same value.
    """
    known = {f.name for f in contract_fields(saga.data)}
    before = saga.steps[: saga.index(step.name)]
    sources = {}
    for field in contract_fields(command):
        owners = find_owners(field.name, before, known)
        if len(owners) + (field.name in known) > 1:
            raise DefinitionError(describe_collision(saga, step, command, field.name, owners))
        if field.name in known:
            continue
        if owners:
            sources[field.name] = owners[0].name
        elif is_required(field):
            raise DefinitionError(
                f"{command.__name__}.{field.name} of step {step.name} is neither in the saga's data"
                f" ({', '.join(sorted(known))}) nor in the reply of an earlier step"
            )
    return sources


def find_owners(field: str, steps: Sequence[Step], known: Container[str]) -> list[Step]:
    """Return the steps whose replies bring a value of this field.

    A reply may give back a field of its own command, such as an id: that is the value which the command took from the
    saga's data or from an earlier reply, and no second one.
    """
    owners = [step for step in steps if has_field(step.command.done, field)]
    own = [step for step in owners if not has_field(step.command, field)]
    return own if own or field in known else owners


def has_field(contract: type, name: str) -> bool:
    return any(field.name == name for field in contract_fields(contract))


def describe_collision(
    saga: type[Saga], step: Step, command: type[Command], field: str, owners: Sequence[Step]
) -> str:
    places = [f"{owner.name} ({owner.command.done.__name__})" for owner in owners]
    if has_field(saga.data, field):
        places.insert(0, f"the saga's data ({saga.data.__name__})")
    last = owners[-1]
    twins = any(owner.command is last.command for owner in owners[:-1])
    return (
        f"{command.__name__}.{field} of step {step.name} could come from {' and '.join(places)}, and a command takes a"
        f" field by its name. Give it another name in {last.command.done.__name__}, such as"
        f" {last.name.replace('-', '_')}_{field}"
        f"{', and step ' + last.name + ' a command of its own' if twins else ''}. A reply may repeat a field of its own"
        " command, such as an id"
    )


KIND_ORDER = [StepKind.COMPENSATABLE, StepKind.PIVOT, StepKind.RETRIABLE]


def find_fault(saga: type[Saga]) -> str | None:
    """Say what is wrong with the definition, or None."""
    for wanted in ("name", "version", "deadline", "data", "steps"):
        if not hasattr(saga, wanted):
            return f"`{wanted}` is missing"
    checks = (check_values, check_names, check_kinds, check_commands, check_callbacks)
    fault = next(filter(None, (check(saga) for check in checks)), None)
    return fault or Timeouts().check_ordering(saga.deadline)


def check_values(saga: type[Saga]) -> str | None:
    if not isinstance(saga.name, str) or not 0 < len(saga.name) <= LONGEST_NAME:
        return f"`name` is a text of 1 to {LONGEST_NAME} letters, not {saga.name!r}"
    if type(saga.version) is not int or not 0 < saga.version <= HIGHEST_VERSION:
        return f"`version` is a whole number from 1 to {HIGHEST_VERSION}, not {saga.version!r}"
    if type(saga.deadline) not in (int, float):
        return f"`deadline` is a number of seconds, not {saga.deadline!r}"
    if not (isinstance(saga.data, type) and dataclasses.is_dataclass(saga.data)):
        return f"`data` is a dataclass, not {saga.data!r}"
    others = [step for step in saga.steps if not isinstance(step, Step)]
    return f"{others[0]!r} is no step; write compensatable(…), pivot(…) or retriable(…)" if others else None


def check_callbacks(saga: type[Saga]) -> str | None:
    """A callback that cannot be called would fail in the transaction that ends a saga, again and again."""
    for name in ("on_completed", "on_compensated"):
        callback = getattr(saga, name)
        try:
            inspect.signature(callback).bind([])
        except (TypeError, ValueError):
            return f"`{name}` is a function of one list, of the sagas that end together, not {callback!r}"
    return None


def check_names(saga: type[Saga]) -> str | None:
    names = [s.name for s in saga.steps]
    repeated = {n for n in names if names.count(n) > 1}
    if not names:
        return "a saga has at least one step"
    if unfit := [n for n in names if not 0 < len(n) <= LONGEST_NAME]:
        return f"a step has a name of 1 to {LONGEST_NAME} letters, not {unfit[0]!r}"
    return f"two steps are called {', '.join(repeated)}; steps are stored by name" if repeated else None


def check_kinds(saga: type[Saga]) -> str | None:
    ranks = [KIND_ORDER.index(s.kind) for s in saga.steps]
    if ranks != sorted(ranks):
        return "steps come in this order: compensatable, pivot, retriable"
    if ranks.count(1) > 1:
        return "a saga has at most one pivot"
    if {0, 2} <= {*ranks} and 1 not in ranks:
        return "a retriable step follows a pivot; without one it would have to be undone"
    return None


def check_commands(saga: type[Saga]) -> str | None:
    data = {f.name for f in contract_fields(saga.data)}
    for step in saga.steps:
        for command in filter(None, (step.command, step.undo)):
            if fault := find_command_fault(command):
                return f"step {step.name}: {fault}"
        field_sources(saga, step, step.command)
        if step.kind is StepKind.RETRIABLE and step.command.refused:
            return f"{step.name} follows the pivot, so {step.command.__name__} may not be refused"
        if step.undo is None:
            continue
        wanted = {f.name for f in contract_fields(step.undo)}
        if not wanted <= data:
            return f"{step.undo.__name__} carries ids of the saga's data only; not there: {', '.join(wanted - data)}"
        announced = {f.name for f in contract_fields(step.undo.done)}
        if not announced <= wanted:
            return (
                f"{step.undo.done.__name__} is announced even if nothing was done: only its command's fields"
            )
    return None
