"""`./manage.py flows`: what each service waits for in each flow of an order, from the code."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from celery_config.common.services import ORCHESTRATOR, SERVICES
from celery_config.contracts.base import Command
from celery_config.contracts.subscriptions import ReactionRule
from celery_config.saga.dsl import Saga, StepKind
from docs.generated import replace_part
from docs.reordering import (
    find_changed_files,
    find_path,
    forward_reactions,
    read_reactions,
    sort_by_flow,
)

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "why.md"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./manage.py flows", description=__doc__)
    parser.add_argument("--mermaid", action="store_true", help="as diagrams")
    parser.add_argument(
        "--reorder",
        nargs=2,
        metavar="COMMAND",
        help="which files change when these two, such as AuthorizePayment ReserveStock, change places",
    )
    parser.add_argument("--write", action="store_true", help=f"all of it into docs/{PAGE.name}")
    options = parser.parse_args(argv)
    if options.write:
        PAGE.write_text(page(), encoding="utf-8")
    elif options.reorder:
        try:
            print(describe_reordering(*options.reorder))
        except ValueError as error:
            parser.error(str(error))
    else:
        print("\n\n".join((flow.mermaid if options.mermaid else flow.text)() for flow in read_flows()))
    return 0


@dataclass(frozen=True)
class Wait:
    """One line of a flow: a service waits for something, acts, and announces events."""

    service: str
    awaited: str
    action: str
    announced: tuple[str, ...]
    sender: str
    """The service that sends what is awaited."""


@dataclass(frozen=True)
class Flow:
    """The way of an order from the first to the last service."""

    title: str
    files: tuple[str, ...]
    waits: tuple[Wait, ...]

    def text(self) -> str:
        rows = [
            (w.service, "waits for", w.awaited, "then", w.action, ", ".join(w.announced)) for w in self.waits
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(6)]
        lines = [
            f"{name:{widths[0]}}  {waits} {after:{widths[2]}}  {then} {action:{widths[4]}}  {events}".rstrip()
            for name, waits, after, then, action, events in rows
        ]
        return "\n".join(
            [self.title, *(f"  {file}" for file in self.files), "", *(f"  {line}" for line in lines)]
        )

    def mermaid(self) -> str:
        """A sequence diagram of what each service sends to which."""
        services = dict.fromkeys(name for wait in self.waits for name in (wait.sender, wait.service))
        lines = ["sequenceDiagram", *(f"  participant {name}" for name in services)]
        for wait in self.waits:
            lines.append(f"  {wait.sender}->>{wait.service}: {wait.awaited}")
            lines.append(f"  Note over {wait.service}: {wait.action}")
        return "\n".join(lines)


def read_flows() -> list[Flow]:
    return [read_orchestrated(find_default_saga()), read_choreographed()]


def find_default_saga() -> type[Saga]:
    """Return the saga that new orders take by default."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "order_project.config.settings"
    importlib.import_module("django").setup()
    return Saga.registry["place-order", 1]


def read_orchestrated(saga: type[Saga]) -> Flow:
    """Each service waits for its command, which the order service chained to the reply before it."""
    us, waits, before = ORCHESTRATOR, [], ""
    for step in saga.steps:
        waits.append(wait_for_command(step.command, before))
        before = step.command.done.__name__
    waits.append(Wait(us, before, "confirms the order", (), saga.steps[-1].command.service))
    pivot = saga.steps[saga.pivot_index()]
    stop = "a refusal, a cancel, the deadline"
    waits.append(Wait(pivot.command.service, stop, f"fence of {pivot.command.__name__}", (), us))
    before = "the fence"
    for step in reversed([each for each in saga.steps if each.kind is StepKind.COMPENSATABLE]):
        assert step.undo
        waits.append(wait_for_command(step.undo, before))
        before = step.undo.done.__name__
    waits.append(Wait(us, before, "cancels the order", (), waits[-1].service))
    return Flow("orchestrated", (find_path(saga),), tuple(waits))


def wait_for_command(command: type[Command], before: str) -> Wait:
    announced = tuple(kind.__name__ for kind in (command.done, command.refused) if kind)
    after = f"{command.__name__} after {before}" if before else command.__name__
    return Wait(command.service, after, command.__name__, announced, ORCHESTRATOR)


def read_choreographed() -> Flow:
    """Each service waits for the events of others."""
    waits = [
        Wait(each.command.service, event.__name__, describe_action(each), name_events(each), event.service)
        for each in sort_by_flow(read_reactions())
        for event in each.to
    ]
    us = ORCHESTRATOR
    last = forward_reactions(read_reactions())[-1]
    waits.append(Wait(us, "all of these", "confirms the order", (), last.command.service))
    undos = [each for each in read_reactions() if each.operation == "undo"]
    undone = " and ".join(each.announce.__name__ for each in undos)
    waits.append(Wait(us, undone, "cancels the order", (), undos[-1].command.service))
    files = [f"{SERVICES[service].package}/subscriptions.py" for service in SERVICES]
    return Flow("choreographed", tuple(files), tuple(waits))


def describe_action(each: ReactionRule) -> str:
    return f"{each.command.__name__}{f' unless {each.unless.__name__} ran' if each.unless else ''}"


def name_events(each: ReactionRule) -> tuple[str, ...]:
    return tuple(kind.__name__ for kind in each.announces)


def describe_reordering(first: str, second: str) -> str:
    """The files that change, for each flow, when two neighbours change places."""
    lines = []
    for flow, files in (
        ("orchestrated", [find_path(find_default_saga())]),
        ("choreographed", sorted(find_changed_files(first, second))),
    ):
        lines += [f"{flow}: {len(files)} file{'s' * (len(files) != 1)}", *(f"  {file}" for file in files)]
    return "\n".join(lines)


def page() -> str:
    """docs/why.md with both flows, as the code has them."""
    return replace_part(PAGE, "./manage.py flows", "".join(sections()))


def sections() -> Iterable[str]:
    for flow in read_flows():
        yield f"### {flow.title.capitalize()}: what each service waits for\n\n"
        yield f"```mermaid\n{flow.mermaid()}\n```\n\n```text\n{flow.text()}\n```\n\n"
    yield "### What it takes to hold the stock before the money\n\n"
    pair = [line.command.__name__ for line in forward_reactions(read_reactions())[:2]]
    yield f"`./manage.py flows --reorder {' '.join(pair)}` says:\n\n```text\n{describe_reordering(*pair)}\n```\n"
