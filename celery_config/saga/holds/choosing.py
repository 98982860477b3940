"""Choosing what to hold: a participant, a provider, a step, or flows by name or by filters as they are now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from celery_config.common.identifiers import uuid7
from celery_config.common.services import PARTICIPANTS
from celery_config.contracts.base import Command
from celery_config.errors import OperatorRefused
from celery_config.messaging.holds.targets import KnownHold
from celery_config.saga.dsl import Saga, Step
from celery_config.saga.engine.flows import flows
from celery_config.saga.engine.holding import count_covered
from celery_config.saga.holds.models import Hold
from celery_config.saga.operations.acts import phrase_step
from celery_config.saga.states import OPEN

Kind = Hold.Kind
MOST_FLOWS = 1000
"""How many flows one hold may name: every worker keeps their ids in memory."""
MOST_COUNTED = 10_000
"""A preview stops counting there."""
TOO_MANY = (
    f"more than {MOST_FLOWS:,} flows fit; hold a step, a participant or a provider, or choose fewer flows"
)


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is to be held."""

    kind: Kind
    name: str
    label: str
    service: str = ""
    commands: tuple[str, ...] = ()
    flows: tuple[UUID, ...] = ()

    def make_hold(self, *, undos: bool, by: str = "", why: str = "") -> Hold:
        """Return the row; it is not inserted yet."""
        return Hold(
            kind=self.kind.value,
            name=self.name,
            label=self.label,
            service=self.service,
            commands=[*self.commands],
            flows=[*map(str, self.flows)],
            undos=undos,
            by=by,
            why=why,
        )


def list_steps() -> Iterator[Step]:
    """The steps of every definition."""
    for saga in Saga.registry.values():
        yield from saga.steps


def list_commands(step: Step) -> tuple[type[Command], ...]:
    return (step.command, step.undo) if step.undo else (step.command,)


def list_providers() -> dict[str, tuple[str, ...]]:
    """The providers outside, each with the commands that it carries out."""
    found: dict[str, set[str]] = {}
    for step in list_steps():
        for command in list_commands(step):
            if command.provider:
                found.setdefault(command.provider, set()).add(command.wire_name())
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def list_names() -> dict[Kind, list[str]]:
    """What can be held by its name."""
    return {
        Kind.PARTICIPANT: sorted(PARTICIPANTS),
        Kind.PROVIDER: [*list_providers()],
        Kind.STEP: sorted({step.name for step in list_steps()}),
    }


def choose(kind: str, name: str) -> Target:
    """Choose by name.

    Args:
        kind: participant, provider or step.

    Raises:
        OperatorRefused: there is nothing of this kind, or with this name.
    """
    known = {kind.value: names for kind, names in list_names().items()}
    if kind not in known:
        raise OperatorRefused(f"nothing of the kind {kind!r} can be held; there are {', '.join(known)}")
    if name not in known[kind]:
        raise OperatorRefused(f"no {kind} is called {name!r}; there are {', '.join(known[kind])}")
    if kind == Kind.PARTICIPANT:
        return Target(kind=Kind.PARTICIPANT, name=name, label=name, service=name)
    if kind == Kind.PROVIDER:
        commands = list_providers()[name]
        return Target(kind=Kind.PROVIDER, name=name, label=f"the {name}", commands=commands)
    steps = [step for step in list_steps() if step.name == name]
    held = {command.wire_name() for step in steps for command in list_commands(step)}
    label = f"the step “{phrase_step(name)}”"
    return Target(kind=Kind.STEP, name=name, label=label, commands=tuple(sorted(held)))


def choose_flows(rows: QuerySet[Any, Any]) -> Target:
    """Choose those of these rows that are under way.

    Raises:
        OperatorRefused: there is none, or there are more than `MOST_FLOWS`.
    """
    ids = list(rows.filter(status__in=OPEN).order_by("pk").values_list("pk", flat=True)[: MOST_FLOWS + 1])
    if not ids:
        raise OperatorRefused("nothing fits: no such flow is under way at this moment")
    if len(ids) > MOST_FLOWS:
        raise OperatorRefused(TOO_MANY)
    meta = rows.model._meta
    noun = meta.verbose_name if len(ids) == 1 else meta.verbose_name_plural
    label = f"{rows.get(pk=ids[0])}" if len(ids) == 1 else f"{len(ids):,} {noun}"
    return Target(kind=Kind.FLOWS, name=f"{len(ids)} {noun}", label=label, flows=tuple(ids))


def choose_ids(ids: list[UUID]) -> Target:
    """Choose flows of any kind by their ids.

    Raises:
        OperatorRefused: one of them is not under way, or they are of several kinds.
    """
    for flow in flows.values():
        if flow.model._default_manager.filter(pk__in=ids).exists():
            target = choose_flows(flow.model._default_manager.filter(pk__in=ids))
            if missing := {*ids} - {*target.flows}:
                some = ", ".join(sorted(map(str, missing))[:3])
                raise OperatorRefused(f"not under way, or of another kind: {some}")
            return target
    raise OperatorRefused("none of these flows is known")


def count_held_now(target: Target, *, undos: bool) -> int:
    """Return how many flows under way would be held at once; `MOST_COUNTED`: that many, or more."""
    hold = target.make_hold(undos=undos)
    hold.id, hold.since = uuid7(), timezone.now()
    known: KnownHold = hold.make_known()
    return min(count_covered([known], MOST_COUNTED), MOST_COUNTED)


def tell_count(count: int) -> str:
    """Return the sentence of a preview: "312 under way would be held now, and all that come to it later."""
    more = "more than " if count >= MOST_COUNTED else ""
    return f"{more}{count:,} under way would be held now, and all that come to it later"
