"""`./manage.py startsaga NAME STEP…`: a flow of commands that are there, with a test in prose and a simulated one."""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path
from typing import Any, get_type_hints

from celery_config.contracts.base import Command, Message, contract_fields, encode
from celery_config.errors import DefinitionError
from celery_config.saga.dsl import StepKind
from celery_config.saga.testing import make_sample
from compose.local.errors import LocalError
from compose.scaffold.rendering import format_code, make_name_of_class, render_folder, run, write_new
from tests.releases import list_contracts

TEMPLATES = Path(__file__).parent / "saga"
NAME = re.compile(r"[a-z]+(-[a-z]+)*")
WRONG_NAME = "{!r} is no name of a saga: it has small letters, and hyphens between words, such as book-trip"
ABOUT = """\
Each STEP is the name of a command. COMMAND/UNDO is a step that can be undone; the first one without an undo is the
pivot, after which the flow only goes forward. Example: ./manage.py startsaga trip BookHotel/CancelHotel ChargeTrip
"""
NEXT = """\
made order_project/sagas/{module}.py and tests/service/order/sagas/test_{module}.py

  edit   order_project/sagas/{module}.py   the steps, and what is done at the end (on_completed, on_compensated)
  test   .venv/bin/python -m pytest tests/service/order/sagas/test_{module}.py --ds=order_project.config.settings
         ./manage.py schedules --saga {name} --count 100000
  start  ./manage.py order begin {name} '{data}'   (on what runs)
"""


@dataclass(frozen=True)
class PlannedStep:
    """A step as it was named on the command line."""

    name: str
    kind: StepKind
    command: type[Command]
    undo: type[Command] | None

    def __str__(self) -> str:
        undo = f", undo={self.undo.__name__}" if self.undo else ""
        return f'{self.kind}("{self.name}", {self.command.__name__}{undo}),'


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="./manage.py startsaga",
        description=f"{__doc__}\n\n{ABOUT}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help="of the saga: small letters, such as book-trip")
    parser.add_argument("steps", nargs="+", metavar="STEP", help="COMMAND or COMMAND/UNDO")
    options = parser.parse_args(argv)
    try:
        values = describe(options.name, plan_steps(options.steps))
        files = render_folder(TEMPLATES, values["module"], values)
        write_new(files)
        try:
            format_code(files)
            run("manage.py", "record")
            run("manage.py", "architecture", "--write")
        except BaseException:
            for path in files:
                path.unlink()
            raise
    except (LocalError, DefinitionError) as error:
        print(error, file=sys.stderr)
        return 1
    print(NEXT.format(**values), end="")
    return 0


def plan_steps(words: Iterable[str]) -> list[PlannedStep]:
    """Return the steps of the command line.

    Raises:
        LocalError: a command is not known, or a step that can be undone follows one that cannot.
    """
    known = find_commands()
    steps: list[PlannedStep] = []
    for word in words:
        name, _, undo = word.partition("/")
        command = find_command(known, name)
        kind = StepKind.COMPENSATABLE if undo else StepKind.PIVOT
        if not undo and any(step.undo is None for step in steps):
            kind = StepKind.RETRIABLE
        if undo and steps and steps[-1].undo is None:
            raise LocalError(
                f"{name} can be undone, so it comes before {steps[-1].command.__name__}, which cannot."
            )
        step = re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
        steps.append(PlannedStep(step, kind, command, find_command(known, undo) if undo else None))
    return steps


def find_commands() -> dict[str, type[Command]]:
    return {kind.__name__: kind for kind in list_contracts() if issubclass(kind, Command)}


def find_command(known: dict[str, type[Command]], name: str) -> type[Command]:
    """
    Raises:
        LocalError: there is none of this name.
    """
    if name not in known:
        raise LocalError(f"There is no command {name}. There are: {', '.join(sorted(known))}.")
    return known[name]


def describe(name: str, steps: list[PlannedStep]) -> dict[str, str]:
    """Return what the templates name.

    Raises:
        LocalError: the name is wrong.
    """
    if not NAME.fullmatch(name) or iskeyword(name):
        raise LocalError(WRONG_NAME.format(name))
    fields = find_fields(steps)
    samples = {field: make_sample(hint) for field, (_, hint, _) in fields.items()}
    camel, kinds = make_name_of_class(name), sorted({step.kind.value for step in steps})
    contracts = {kind for step in steps for kind in (step.command, step.undo) if kind}
    replies = {step.command.done for step in steps}
    texts = {field: source for field, (source, _, _) in fields.items()}
    needed = {pair for source, _, home in fields.values() for pair in find_imports(source, home)}
    to_import = {(kind.__module__, kind.__name__) for kind in contracts} | needed
    of_test = {(kind.__module__, kind.__name__) for kind in (*(step.command for step in steps), *replies)}
    return {
        "name": name,
        "module": name.replace("-", "_"),
        "noun": name.replace("-", " "),
        "camel": camel,
        "kinds": ", ".join([*kinds, "minutes"]),
        "imports": format_imports(to_import),
        "fields": "\n".join(f"    {field}: {text}" for field, text in texts.items()),
        "steps": "\n".join(f"        {step}" for step in steps),
        "test_imports": format_imports(of_test),
        "scenario": "\n".join(
            f"        .expect({step.command.__name__}).when(make_sample({step.command.done.__name__}))"
            for step in steps
        ),
        "data": json.dumps({field: encode(value) for field, value in samples.items()}),
    }


def find_fields(steps: list[PlannedStep]) -> dict[str, tuple[str, Any, type[Message]]]:
    """Return the fields of the commands that no earlier step answers: as they are written, their type, and where."""
    fields: dict[str, tuple[str, Any, type[Message]]] = {}
    answered: set[str] = set()
    for step in steps:
        for kind in filter(None, (step.command, step.undo)):
            hints = get_type_hints(kind)
            for field in contract_fields(kind):
                if field.name not in answered:
                    fields.setdefault(field.name, (str(field.type), hints[field.name], kind))
        answered |= {field.name for field in contract_fields(step.command.done)} - fields.keys()
    return fields


def find_imports(source: str, kind: type[Message]) -> Iterable[tuple[str, str]]:
    """Yield module and name of what the text of a type names."""
    module = vars(sys.modules[kind.__module__])
    for node in ast.walk(ast.parse(source, mode="eval")):
        if isinstance(node, ast.Name) and (found := module.get(node.id)) is not None:
            yield found.__module__, node.id


def format_imports(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the lines that import these names; the formatter sorts them."""
    return "\n".join(f"from {module} import {name}" for module, name in sorted(pairs))
