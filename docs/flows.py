"""`./manage.py flows`: who waits for whom in each flow of an order, from the code."""

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
from docs.reordering import forward, in_order, package_of, path_of, reactions, touched

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
        print(reordered(*options.reorder))
    else:
        print("\n\n".join((flow.mermaid if options.mermaid else flow.text)() for flow in flows()))
    return 0


@dataclass(frozen=True)
class Wait:
    """One line of a flow: `who` does something when `after` has happened, and says so."""

    who: str
    after: str
    does: str
    says: tuple[str, ...]
    told_by: str
    """Whose word it waits for."""


@dataclass(frozen=True)
class Flow:
    """How an order gets from the first to the last service."""

    title: str
    files: tuple[str, ...]
    waits: tuple[Wait, ...]

    def text(self) -> str:
        rows = [(w.who, "waits for", w.after, "then", w.does, ", ".join(w.says)) for w in self.waits]
        widths = [max(len(row[column]) for row in rows) for column in range(6)]
        lines = [
            f"{who:{widths[0]}}  {waits} {after:{widths[2]}}  {then} {does:{widths[4]}}  {says}".rstrip()
            for who, waits, after, then, does, says in rows
        ]
        return "\n".join(
            [self.title, *(f"  {file}" for file in self.files), "", *(f"  {line}" for line in lines)]
        )

    def mermaid(self) -> str:
        """A sequence diagram: who tells whom what."""
        services = dict.fromkeys(name for wait in self.waits for name in (wait.told_by, wait.who))
        lines = ["sequenceDiagram", *(f"  participant {name}" for name in services)]
        for wait in self.waits:
            lines.append(f"  {wait.told_by}->>{wait.who}: {wait.after}")
            lines.append(f"  Note over {wait.who}: {wait.does}")
        return "\n".join(lines)


def flows() -> list[Flow]:
    return [orchestrated(saga_of_new_orders()), choreographed()]


def saga_of_new_orders() -> type[Saga]:
    """The saga that new orders take by default."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "order_project.config.settings"
    importlib.import_module("django").setup()
    return Saga.registry["place-order", 1]


def orchestrated(saga: type[Saga]) -> Flow:
    """Each service waits for its command, which the order service chained to the reply before it."""
    us, waits, before = ORCHESTRATOR, [], ""
    for step in saga.steps:
        waits.append(asked(step.command, before))
        before = step.command.done.__name__
    waits.append(Wait(us, before, "confirms the order", (), saga.steps[-1].command.service))
    pivot = saga.steps[saga.pivot_index()]
    stop = "a refusal, a cancel, the deadline"
    waits.append(Wait(pivot.command.service, stop, f"fence of {pivot.command.__name__}", (), us))
    before = "the fence"
    for step in reversed([each for each in saga.steps if each.kind is StepKind.COMPENSATABLE]):
        assert step.undo
        waits.append(asked(step.undo, before))
        before = step.undo.done.__name__
    waits.append(Wait(us, before, "cancels the order", (), waits[-1].who))
    return Flow("orchestrated", (path_of(saga),), tuple(waits))


def asked(command: type[Command], before: str) -> Wait:
    says = tuple(kind.__name__ for kind in (command.done, command.refused) if kind)
    after = f"{command.__name__} after {before}" if before else command.__name__
    return Wait(command.service, after, command.__name__, says, ORCHESTRATOR)


def choreographed() -> Flow:
    """Each service waits for the events of others."""
    waits = [
        Wait(each.command.service, heard.__name__, does(each), names(each), heard.service)
        for each in in_order(reactions())
        for heard in each.to
    ]
    us = ORCHESTRATOR
    last = forward(reactions())[-1]
    waits.append(Wait(us, "all of these", "confirms the order", (), last.command.service))
    undos = [each for each in reactions() if each.operation == "undo"]
    undone = " and ".join(each.announce.__name__ for each in undos)
    waits.append(Wait(us, undone, "cancels the order", (), undos[-1].command.service))
    files = [f"{package_of(service)}/subscriptions.py" for service in SERVICES]
    return Flow("choreographed", tuple(files), tuple(waits))


def does(each: ReactionRule) -> str:
    return f"{each.command.__name__}{f' unless {each.unless.__name__} ran' if each.unless else ''}"


def names(each: ReactionRule) -> tuple[str, ...]:
    return tuple(kind.__name__ for kind in each.announces)


def reordered(first: str, second: str) -> str:
    """The files that change, for each flow, when two neighbours change places."""
    told = []
    for flow, files in (
        ("orchestrated", [path_of(saga_of_new_orders())]),
        ("choreographed", sorted(touched(first, second))),
    ):
        told += [f"{flow}: {len(files)} file{'s' * (len(files) != 1)}", *(f"  {file}" for file in files)]
    return "\n".join(told)


def page() -> str:
    """docs/why.md with both flows, as the code has them."""
    return replace_part(PAGE, "./manage.py flows", "".join(sections()))


def sections() -> Iterable[str]:
    for flow in flows():
        yield f"### {flow.title.capitalize()}: who waits for whom\n\n"
        yield f"```mermaid\n{flow.mermaid()}\n```\n\n```text\n{flow.text()}\n```\n\n"
    yield "### What it takes to hold the stock before the money\n\n"
    pair = [line.command.__name__ for line in forward(reactions())[:2]]
    yield f"`./manage.py flows --reorder {' '.join(pair)}` says:\n\n```text\n{reordered(*pair)}\n```\n"
