"""System checks of `subscriptions.py`: what a service hears is registered, can be called, and is announced at all."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string

from celery_config.broker.topology import STEP_EVENTS, read_subscriptions
from celery_config.checks.handlers import load_tasks
from celery_config.common.services import ORCHESTRATOR, PARTICIPANTS, SERVICES
from celery_config.contracts.subscriptions import SAGA_LOG, EventSubscription, ReactionRule
from celery_config.messaging.barrier.steps import Handler
from celery_config.messaging.inbox.subscriptions import Reactor, Subscription, reactors, subscriptions
from celery_config.participant.handlers import registry

Lines = Sequence[EventSubscription | ReactionRule]


def check_subscriptions(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check what this service hears; whether its file is there at all is a check of the table of services."""
    try:
        lines = read_own_lines()
    except Exception:  # the check of services says why
        return []
    faults = [*check_calls(lines), *check_types(lines, SERVICES)]
    if not load_tasks():
        faults += [*check_registered(lines, subscriptions, reactors), *check_rules(lines, registry)]
    if settings.SERVICE == ORCHESTRATOR:
        faults += check_saga_log(lines, PARTICIPANTS)
    return faults


def read_own_lines() -> Lines:
    """
    Raises:
        DefinitionError: the file or its list is missing, or holds something else.
    """
    read_subscriptions(settings.SUBSCRIPTIONS)
    lines: Lines = import_string(settings.SUBSCRIPTIONS)
    return lines


def name_file() -> str:
    return f"{SERVICES[settings.SERVICE].package}/subscriptions.py"


def check_calls(lines: Lines) -> Iterator[CheckMessage]:
    for line in lines:
        if isinstance(line, EventSubscription) and (fault := find_call_fault(line.call)):
            yield Error(
                f"{', '.join(line.patterns)} should call {line.call}, {fault}.",
                hint=f"Write the dotted path of a function of one list, of the received events, in {name_file()}.",
                id="subscriptions.E001",
            )


def find_call_fault(path: str) -> str:
    try:
        function = import_string(path)
        inspect.signature(function).bind([])
    except (TypeError, ValueError):
        return "which does not take one list"
    except Exception as error:  # its module may do anything when it is imported
        return f"which cannot be imported: {type(error).__name__}: {error}"
    return ""


def check_types(lines: Lines, services: Collection[str]) -> Iterator[CheckMessage]:
    """Check that what a line waits for is of a service that there is."""
    for line in lines:
        for pattern in line.patterns:
            owner = pattern.partition(".")[0]
            if owner not in (*services, STEP_EVENTS) and not any(sign in owner for sign in "*?["):
                yield Error(
                    f"It waits for {pattern}, and no service is called {owner!r}.",
                    hint=f"Write one of {', '.join(services)} before the dot, in {name_file()} or in the contract.",
                    id="subscriptions.E002",
                )


def check_registered(
    lines: Lines, registered: Sequence[Subscription], reacting: Mapping[str, Reactor]
) -> Iterator[CheckMessage]:
    known = {(each.to, each.handler) for each in registered}
    for line in lines:
        if isinstance(line, ReactionRule):
            missing = any(pattern not in reacting for pattern in line.patterns)
        else:
            missing = not find_call_fault(line.call) and (line.to, import_string(line.call)) not in known
        if missing:
            yield Error(
                f"{', '.join(line.patterns)} comes to {settings.SERVICE}, and nothing takes it: each such event"
                " would be a dead letter.",
                hint="Write `register_subscriptions(SUBSCRIPTIONS)` into"
                f" {SERVICES[settings.SERVICE].package}/tasks.py.",
                id="subscriptions.E003",
            )


def check_rules(lines: Lines, handlers: Mapping[str, Handler]) -> Iterator[CheckMessage]:
    """Check that a reaction's commands have handlers here."""
    for line in lines:
        if not isinstance(line, ReactionRule):
            continue
        for command in filter(None, (line.action, line.command, line.unless)):
            if command.wire_name() not in handlers:
                yield Error(
                    f"On {', '.join(line.patterns)} {settings.SERVICE} should carry out {command.__name__}, and has no"
                    " handler for it.",
                    hint=f"Write one into {SERVICES[settings.SERVICE].package}/tasks.py, or name a command of"
                    f" {settings.SERVICE} in {name_file()}.",
                    id="subscriptions.E004",
                )


def check_saga_log(lines: Lines, participants: Collection[str]) -> Iterator[CheckMessage]:
    """Check that the saga log hears all participants: of the others it would say that nothing was done."""
    heard = [
        pattern
        for line in lines
        if isinstance(line, EventSubscription) and line.call == SAGA_LOG
        for pattern in line.patterns
    ]
    for service in (*participants, STEP_EVENTS):
        if not any(fnmatchcase(f"{service}.any", pattern) for pattern in heard):
            yield Error(
                f"The saga log does not hear the events {service}.*.",
                hint=f"Write `subscribe_saga_log()` into the list in {name_file()}.",
                id="subscriptions.E005",
            )
