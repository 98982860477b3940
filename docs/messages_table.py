"""`python -m docs.messages_table`: writes the tables of docs/reference/messages.md from the contracts."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

from celery_config.common.services import SERVICES
from celery_config.contracts.base import Command, Event, Message, Refusal, Reply, StepGaveUp, StepTried
from docs.generated import replace_part

PAGE = Path(__file__).resolve().parent / "reference" / "messages.md"


def tables() -> str:
    """The contracts of every service, as Markdown."""
    sections = [section(service, list(contracts(service))) for service in SERVICES]
    return "\n".join(filter(None, sections)) + "\n" + section("any participant", [StepGaveUp, StepTried])


def contracts(service: str) -> Iterator[type[Message]]:
    module = importlib.import_module(f"celery_config.contracts.{service}")
    for kind in vars(module).values():
        if inspect.isclass(kind) and issubclass(kind, Message) and kind.__module__ == module.__name__:
            yield kind


def section(service: str, kinds: list[type[Message]]) -> str:
    commands = [k for k in kinds if issubclass(k, Command)]
    events = [k for k in kinds if issubclass(k, Event)]
    lines = [f"### {service}", ""] if kinds else []
    if commands:
        lines += ["| command | fields | done | refused |", "|---|---|---|---|"]
        lines += [
            f"| `{c.wire_name()}` | {fields(c)} | `{c.done.__name__}` | {named(c.refused)} |"
            for c in commands
        ]
        lines.append("")
    if events:
        lines += ["| event | what it is | fields |", "|---|---|---|"]
        lines += [f"| `{e.wire_name()}` | {role(e)} | {fields(e)} |" for e in events]
        lines.append("")
    return "\n".join(lines)


def fields(kind: type[Message]) -> str:
    """Name and type of each field; one with a default is in brackets."""
    shown = []
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        text = f"{field.name}: {field.type}"
        has_default = (field.default, field.default_factory) != (dataclasses.MISSING, dataclasses.MISSING)
        shown.append(f"[{text}]" if has_default else text)
    return ", ".join(shown)


def named(kind: type[Refusal] | None) -> str:
    return f"`{kind.__name__}`" if kind else "never"


def role(kind: type[Event]) -> str:
    if issubclass(kind, Refusal):
        return "refusal"
    return "reply" if issubclass(kind, Reply) else "event"


def page() -> str:
    """The page with its tables brought up to date."""
    return replace_part(PAGE, "python -m docs.messages_table", tables())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
