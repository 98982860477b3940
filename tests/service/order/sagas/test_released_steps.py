"""Every step that a released saga sends is the same command in today's code (rule 24, versions).

`released_steps.json` holds, for each saga and version, what a saga of that release stores (its data and the replies of
its steps) and the hash of each step's command: that of the barrier rows. `./manage.py record` writes the entry of a new
saga or version. An entry is never changed: the sagas that it stands for are driven again by the code of the day, and
another hash would be a conflict at the participant. What needs another command gets a new version, or a new name.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from celery_config.contracts.base import decode, encode
from tests.releases import STEPS, hash_steps, list_sagas

RELEASED: dict[str, dict[str, Any]] = json.loads(STEPS.read_text())
SAGAS = list_sagas()


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
