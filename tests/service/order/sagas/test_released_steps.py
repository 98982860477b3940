"""Every step that a released saga sends is the same command in today's code (rule 24, versions).

`released_steps.json` holds, for each saga and version, what a saga of that release stores (its data and the replies of
its steps) and the hash of each step's command: that of the barrier rows. A new saga or version gets a new entry. An
entry is never changed: the sagas that it stands for are driven again by the code of the day, and another hash would be
a conflict at the participant. What needs another command gets a new version, or a new name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from celery_config.contracts.base import command_hash, decode, encode, fill_command
from celery_config.saga.dsl import Saga, Via
from celery_config.saga.engine.chains import ChainBuilder
from celery_config.saga.engine.machine import Drive
from celery_config.saga.testing import list_links

RELEASED: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "released_steps.json").read_text())
SAGAS = {
    f"{name} {version}": saga
    for (name, version), saga in Saga.registry.items()
    if saga.__module__.startswith("order_project.")
}


def hash_steps(saga: type[Saga], data: dict[str, Any], replies: dict[str, Any]) -> dict[str, str]:
    """The hash of the command that each step's participant makes of its message."""
    hashes = {}
    *links, _ = list_links(ChainBuilder(saga, UUID(int=1), data, 1).build(Drive(saga.steps[0].name)))
    for step, link in zip(saga.steps, links, strict=True):
        message = link["kwargs"] if step.via is Via.AMQP else link["kwargs"]["message"]
        command = fill_command(step.command, message["command"], message.get("needs", {}), replies)
        hashes[step.name] = command_hash(command)
    return hashes


def test_every_saga_is_recorded_and_every_record_has_its_saga() -> None:
    """Rule 24 (versions): a version lives as long as a saga of it may."""
    assert SAGAS.keys() == RELEASED.keys()


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_saga_sends_the_commands_that_its_barrier_rows_know(name: str) -> None:
    released = RELEASED[name]
    made = hash_steps(SAGAS[name], released["data"], released["replies"])
    assert made == released.get("hashes"), json.dumps(made, indent=2)


@pytest.mark.parametrize("name", RELEASED)
def test_its_data_are_still_read_and_say_the_same(name: str) -> None:
    data = RELEASED[name]["data"]
    again = json.loads(json.dumps(encode(decode(SAGAS[name].data, data))))
    assert {field: again[field] for field in data} == data
