"""System checks of handlers: each command of this service has one, which takes and returns what the contract says."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar, get_args, get_type_hints

from django.conf import settings
from django.core.checks import CheckMessage, Error

from celery_config.checks.contracts import list_messages, name_file
from celery_config.common.services import SERVICES
from celery_config.contracts.base import Command, contract_fields, find_command_fault
from celery_config.errors import Refused
from celery_config.messaging.barrier.steps import Handler, OutsideStep
from celery_config.participant.handlers import OneByOne, load_handlers, registry


def check_handlers(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that this service's tasks can be imported, and that they handle its commands and no others."""
    if fault := load_tasks():
        return [fault]
    commands = [kind for kind in list_messages(settings.SERVICE) if issubclass(kind, Command)]
    return [*check_all_handled(settings.SERVICE, commands, registry), *check_each(settings.SERVICE, registry)]


@functools.cache
def load_tasks() -> CheckMessage | None:
    """Import the tasks of this process once; return why they cannot be imported, or None."""
    package = SERVICES[settings.SERVICE].package
    try:
        load_handlers()
    except Exception as error:  # a module may do anything when it is imported
        return Error(
            f"{package}/tasks.py cannot be imported: {type(error).__name__}: {error}",
            hint=f"`./manage.py {settings.SERVICE} shell -c 'import {package}.tasks'` shows where.",
            id="handlers.E001",
        )
    return None


def check_all_handled(
    service: str, commands: Collection[type[Command]], handlers: Mapping[str, Handler]
) -> Iterator[CheckMessage]:
    for command in commands:
        if command.wire_name() not in handlers:
            yield Error(
                f"{service} has no handler for {command.__name__} ({name_file(command)}).",
                hint=f"Write `@handles_one({command.__name__})` above a function in"
                f" {SERVICES[service].package}/tasks.py, or @handles or @handles_outside; an undo needs one, too.",
                id="handlers.E002",
            )


def check_each(service: str, handlers: Mapping[str, Handler]) -> Iterator[CheckMessage]:
    for handler in handlers.values():
        command, file = handler.command, f"{SERVICES[service].package}/tasks.py"
        if fault := find_command_fault(command):  # one that is no dataclass is no contract to others
            yield Error(f"{fault}.", hint=f"It stands in {name_file(command)}.", id="contracts.E001")
            continue
        if command.service != service:
            yield Error(
                f"{service} has a handler for {command.__name__}, which {command.service} gets.",
                hint=f"Move the handler to {command.service}, or the command to"
                f" celery_config/contracts/{service}.py.",
                id="handlers.E003",
            )
        for fault in find_handler_faults(handler):
            yield Error(
                f"The handler of {command.__name__} {fault}.",
                hint=f"Mend it in {file}; the contract is in {name_file(command)}.",
                id="handlers.E004",
            )


def find_handler_faults(handler: Handler) -> Iterator[str]:
    """Yield what a handler takes or returns otherwise than its command says, as far as it is annotated."""
    takes, returns = list_functions(handler)
    if handler.outside:
        for name in ("call", takes.__name__, returns.__name__):
            if is_inherited(handler.outside, name):
                yield f"defines no `{name}`"
    taken = [kind for kind in list_kinds(read_annotations(takes)[0]) if issubclass(kind, Command)]
    if taken and not any(issubclass(handler.command, kind) for kind in taken):
        yield f"takes {', '.join(kind.__name__ for kind in taken)}"
    yield from find_answer_faults(handler.command, list_kinds(read_annotations(returns)[1]))


def find_answer_faults(command: type[Command], kinds: Collection[type]) -> Iterator[str]:
    """Yield what is wrong with the types that a handler is annotated to return."""
    if {*kinds} == {type(None)} and not may_undo(command):
        yield f"returns None; it must return {command.done.__name__}"
    for kind in kinds:
        if issubclass(kind, Refused) and command.refused is None:
            yield f"returns Refused, and {command.__name__} names no refusal; write `refused = …` there"
        elif kind not in (type(None), Refused) and not is_related(kind, command.done):
            yield f"returns {kind.__name__}; it must return {command.done.__name__}"


def may_undo(command: type[Command]) -> bool:
    """Whether the command may be an undo, which returns None: its reply is then made of its own fields."""
    return {each.name for each in contract_fields(command.done)} <= {
        each.name for each in contract_fields(command)
    }


def is_related(kind: type, done: type) -> bool:
    return issubclass(kind, done) or issubclass(done, kind)


def is_inherited(step: OutsideStep, name: str) -> bool:
    """Whether a method is still that of the base class, which does nothing."""
    return getattr(type(step), name, None) in [getattr(base, name, None) for base in (OutsideStep, OneByOne)]


def list_functions(handler: Handler) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The functions that take the command, and that return its reply."""
    if handler.local:
        function = inspect.unwrap(handler.local)
        return function, function
    step: Any = handler.outside
    if isinstance(step, OneByOne):
        return step.request, step.settle_one
    return step.requests, step.settle


def read_annotations(function: Callable[..., Any]) -> tuple[Any, Any]:
    """The annotations of a function's first parameter and of what it returns; Any where it has none.

    A type that is imported for type checkers alone cannot be read: such a function is not compared.
    """
    try:
        hints = get_type_hints(function)
    except NameError:
        return Any, Any
    first = next(iter(inspect.signature(function).parameters), "")
    return hints.get(first, Any), hints.get("return", Any)


def list_kinds(hint: Any) -> list[type]:
    """The classes that an annotation names, without what holds them, such as a list."""
    if parts := get_args(hint):
        return [kind for part in parts for kind in list_kinds(part)]
    if hint is Any or isinstance(hint, TypeVar):
        return []
    return [hint] if isinstance(hint, type) else []
