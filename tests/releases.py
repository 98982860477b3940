"""`./manage.py record`: what this release sends, of contracts and sagas that have no record yet (rule 24, versions).

Later releases must read it. A record is never changed; that of a contract or saga that was never released is deleted by
hand, and made again.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from celery_config.common.services import ORCHESTRATOR, SERVICES
from celery_config.contracts.base import Command, Message, command_hash, decode, encode, fill_command
from celery_config.saga.dsl import Saga, Via
from celery_config.saga.testing.samples import make_sample
from compose.local.environment import ROOT

GOLDEN = ROOT / "tests" / "unit" / "celery_config" / "contracts" / "golden"
HASHES = GOLDEN / "hashes" / "commands.json"
STEPS = ROOT / "tests" / "service" / "order" / "sagas" / "released_steps.json"


def main(argv: list[str]) -> int:
    argparse.ArgumentParser(prog="./manage.py record", description=__doc__).parse_args(argv)
    for path in (*record_contracts(), *record_sagas()):
        print(f"written: {path.relative_to(ROOT)}")
    return 0


def list_contracts() -> Iterator[type[Message]]:
    """Yield the contracts of all services."""
    for name in ("base", *SERVICES):
        module = importlib.import_module(f"celery_config.contracts.{name}")
        for kind in vars(module).values():
            ours = isinstance(kind, type) and issubclass(kind, Message) and kind.__module__ == module.__name__
            if ours and hasattr(kind, "service"):  # the base classes have none
                yield kind


def record_contracts() -> Iterator[Path]:
    """Write a JSON file for each contract without one, and the hash of each command; yield what was written."""
    hashes: dict[str, str] = json.loads(HASHES.read_text(encoding="utf-8"))
    before = dict(hashes)
    for kind in list_contracts():
        path = GOLDEN / f"{kind.wire_name()}.json"
        if not path.exists():
            path.write_text(json.dumps(encode(make_sample(kind)), indent=2) + "\n", encoding="utf-8")
            yield path
            if issubclass(kind, Command):
                data = json.loads(path.read_text(encoding="utf-8"))
                hashes[kind.wire_name()] = command_hash(decode(kind, data))
    if hashes != before:
        HASHES.write_text(json.dumps(hashes, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        yield HASHES


def record_sagas() -> Iterator[Path]:
    """Write what a saga of each version stores and sends, of those without a record; yield the file if it changed."""
    os.environ["DJANGO_SETTINGS_MODULE"] = SERVICES[ORCHESTRATOR].settings_module
    import django

    django.setup()
    recorded: dict[str, Any] = json.loads(STEPS.read_text(encoding="utf-8"))
    before = dict(recorded)
    for name, saga in list_sagas().items():
        if name not in recorded:
            recorded[name] = record_saga(saga)
    if recorded != before:
        STEPS.write_text(json.dumps(recorded, indent=2) + "\n", encoding="utf-8")
        yield STEPS


def list_sagas() -> dict[str, type[Saga]]:
    """Return the sagas of the orchestrator, by name and version."""
    package = SERVICES[ORCHESTRATOR].package
    return {
        f"{name} {version}": saga
        for (name, version), saga in Saga.registry.items()
        if saga.__module__.startswith(f"{package}.")
    }


def record_saga(saga: type[Saga]) -> dict[str, Any]:
    """Return the data and replies that a saga stores, and the hash of each of its commands."""
    data = encode(make_sample(saga.data))
    replies = {step.name: encode(make_sample(step.command.done)) for step in saga.steps}
    made = {"data": data, "replies": replies}
    return {**made, "hashes": hash_steps(saga, **made)}


def hash_steps(saga: type[Saga], data: dict[str, Any], replies: dict[str, Any]) -> dict[str, str]:
    """Return the hash of the command that each step's participant makes of its message."""
    from celery_config.saga.engine.chains import ChainBuilder
    from celery_config.saga.engine.machine import Drive
    from celery_config.saga.testing import list_links

    hashes = {}
    *links, _ = list_links(ChainBuilder(saga, UUID(int=1), data, 1).build(Drive(saga.steps[0].name)))
    for step, link in zip(saga.steps, links, strict=True):
        message = link["kwargs"] if step.via is Via.AMQP else link["kwargs"]["message"]
        command = fill_command(step.command, message["command"], message.get("needs", {}), replies)
        hashes[step.name] = command_hash(command)
    return hashes
