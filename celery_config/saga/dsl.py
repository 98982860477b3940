"""The words a saga is written with. Pure.

    class BookTrip(Saga):
        name, version, deadline, data = "book-trip", 1, minutes(15), TripData
        steps = [
            compensatable("book-hotel", BookHotel, undo=CancelHotel),
            pivot("take-fare", TakeFare),
            retriable("send-tickets", SendTickets),
        ]

A saga (Garcia-Molina and Salem, 1987) is compensatable steps, then at most one pivot, then retriable steps
(Richardson, Microservices Patterns, chapter 4). One of retriable steps alone has no way back: it only goes forward.
The definition is checked when the class is made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, ClassVar

from celery_config.common.timeouts import Timeouts
from celery_config.contracts.base import Command, contract_fields
from celery_config.errors import DefinitionError


class Kind(StrEnum):
    COMPENSATABLE = "compensatable"
    PIVOT = "pivot"
    RETRIABLE = "retriable"


class Via(StrEnum):
    """How a participant is told: a message for its worker, or a call of its REST API."""

    AMQP = "amqp"
    HTTP = "http"


@dataclasses.dataclass(frozen=True)
class Step:
    name: str
    kind: Kind
    command: type[Command]
    undo: type[Command] | None = None
    via: Via = Via.AMQP


def compensatable(name: str, command: type[Command], *, undo: type[Command], via: str = Via.AMQP) -> Step:
    """A step that `undo` takes back."""
    return Step(name, Kind.COMPENSATABLE, command, undo, Via(via))


def pivot(name: str, command: type[Command], *, via: str = Via.AMQP) -> Step:
    """The point of no return: once it ran, the saga only goes forward."""
    return Step(name, Kind.PIVOT, command, via=Via(via))


def retriable(name: str, command: type[Command], *, via: str = Via.AMQP) -> Step:
    """A step after the pivot; it is tried until it succeeds."""
    return Step(name, Kind.RETRIABLE, command, via=Via(via))


def minutes(count: float) -> float:
    """Seconds."""
    return count * 60


def nothing(data: Any, more: Any) -> None:
    """Nobody wants to know."""


class Saga:
    """Base of every saga; one subclass for each version of each saga."""

    name: ClassVar[str]
    version: ClassVar[int]
    deadline: ClassVar[float]
    """Seconds of saga time after which a saga that has not passed its pivot is stopped."""
    data: ClassVar[type]
    """A frozen dataclass: what is known when the saga starts. Its first field names what it is about."""
    steps: ClassVar[Sequence[Step]]

    registry: ClassVar[dict[tuple[str, int], type[Saga]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if fault := fault_of(cls):
            raise DefinitionError(f"{cls.__name__}: {fault}")
        if Saga.registry.setdefault((cls.name, cls.version), cls) is not cls:
            raise DefinitionError(
                f"{cls.__name__}: {cls.name} version {cls.version} is defined already; raise the version"
            )

    on_completed: ClassVar[Callable[..., None]] = staticmethod(nothing)
    """Called with (`data`, `replies` by step) of each saga that the transaction completes."""
    on_compensated: ClassVar[Callable[..., None]] = staticmethod(nothing)
    """Called with (`data`, `cause`: `step`, `code`, `reason`) of each saga that it closes as compensated."""

    @classmethod
    def index(cls, step: str) -> int:
        """The position of the step called so."""
        return next(i for i, s in enumerate(cls.steps) if s.name == step)

    @classmethod
    def only_forward(cls) -> bool:
        """Whether there is no way back from its start: every step is retriable."""
        return all(s.kind is Kind.RETRIABLE for s in cls.steps)

    @classmethod
    def pivot_index(cls) -> int:
        """The position of the pivot. Without one: the number of steps, or before them all if it only goes forward."""
        none = -1 if cls.only_forward() else len(cls.steps)
        return next((i for i, s in enumerate(cls.steps) if s.kind is Kind.PIVOT), none)


def find(name: str, version: int) -> type[Saga] | None:
    """The definition of a saga, or None when this code does not know it."""
    return Saga.registry.get((name, version))


def field_sources(saga: type[Saga], step: Step, command: type[Command]) -> dict[str, str]:
    """Which fields of `command` come from which earlier step's reply; the others come from the saga's data.

    Raises:
        DefinitionError: a field comes from nowhere, or from two replies.
    """
    known = {f.name for f in contract_fields(saga.data)}
    before = saga.steps[: saga.index(step.name)]
    sources = {}
    for field in contract_fields(command):
        if field.name in known:
            continue
        givers = [s.name for s in before if field.name in {f.name for f in contract_fields(s.command.done)}]
        if len(givers) > 1:
            raise DefinitionError(
                f"{command.__name__}.{field.name} could come from {' and '.join(givers)}; rename it"
            )
        if givers:
            sources[field.name] = givers[0]
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise DefinitionError(
                f"{command.__name__}.{field.name} of step {step.name} is neither in the saga's data"
                f" ({', '.join(sorted(known))}) nor in the reply of an earlier step"
            )
    return sources


ORDER_OF_KINDS = [Kind.COMPENSATABLE, Kind.PIVOT, Kind.RETRIABLE]


def fault_of(saga: type[Saga]) -> str | None:
    """What is wrong with the definition, or None."""
    for wanted in ("name", "version", "deadline", "data", "steps"):
        if not hasattr(saga, wanted):
            return f"`{wanted}` is missing"
    checks: tuple[Callable[[type[Saga]], str | None], ...] = (names_fault, kinds_fault, commands_fault)
    for check in checks:
        if fault := check(saga):
            return fault
    return Timeouts().check_ordering(saga.deadline)


def names_fault(saga: type[Saga]) -> str | None:
    names = [s.name for s in saga.steps]
    repeated = {n for n in names if names.count(n) > 1}
    if not names:
        return "a saga has at least one step"
    return f"two steps are called {', '.join(repeated)}; steps are stored by name" if repeated else None


def kinds_fault(saga: type[Saga]) -> str | None:
    ranks = [ORDER_OF_KINDS.index(s.kind) for s in saga.steps]
    if ranks != sorted(ranks):
        return "steps come in this order: compensatable, pivot, retriable"
    if ranks.count(1) > 1:
        return "a saga has at most one pivot"
    if {0, 2} <= {*ranks} and 1 not in ranks:
        return "a retriable step follows a pivot; without one it would have to be undone"
    return None


def commands_fault(saga: type[Saga]) -> str | None:
    data = {f.name for f in contract_fields(saga.data)}
    for step in saga.steps:
        field_sources(saga, step, step.command)
        if step.kind is Kind.RETRIABLE and step.command.refused:
            return f"{step.name} follows the pivot, so {step.command.__name__} may not be refused"
        if step.undo is None:
            continue
        wanted = {f.name for f in contract_fields(step.undo)}
        if not wanted <= data:
            return f"{step.undo.__name__} carries ids of the saga's data only; not there: {', '.join(wanted - data)}"
        told = {f.name for f in contract_fields(step.undo.done)}
        if not told <= wanted:
            return (
                f"{step.undo.done.__name__} is announced even if nothing was done: only its command's fields"
            )
    return None
