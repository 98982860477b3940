"""Every released contract: its golden JSON is decoded by today's code (rule 24, versions).

`golden/WIRE_NAME.json` is what some released version sent. `./manage.py record` writes that
of a new contract; one that has gained a field gets a further file, `WIRE_NAME+FIELD.json`. A file is never changed.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import make_dataclass
from typing import Any

import pytest

from celery_config.contracts.base import Command, Event, Refusal, command_hash, decode, encode
from tests.releases import GOLDEN, HASHES, list_contracts

ALL = {kind.wire_name(): kind for kind in list_contracts()}
COMMANDS = {name: kind for name, kind in ALL.items() if issubclass(kind, Command)}


def golden(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text())  # type: ignore[no-any-return]


def test_every_contract_has_its_golden_json_and_every_golden_json_its_contract() -> None:
    """Rule 24 (versions): a released name never disappears; a new one is recorded."""
    assert {path.stem.partition("+")[0] for path in GOLDEN.glob("*.json")} == set(ALL)


@pytest.mark.parametrize("file", sorted(path.stem for path in GOLDEN.glob("*.json")))
def test_what_was_released_is_still_understood(file: str) -> None:
    """Rule 24 (versions): it decodes, and what it says comes out again unchanged."""
    data = golden(file)
    again = json.loads(json.dumps(encode(decode(ALL[file.partition("+")[0]], data))))
    assert {field: again[field] for field in data} == data


@pytest.mark.parametrize("name", ALL)
def test_unknown_fields_are_ignored(name: str) -> None:
    """Rule 24 (versions): an older worker reads what a newer one wrote, nested values included."""

    def with_more(value: Any) -> Any:
        if isinstance(value, list):
            return [with_more(item) for item in value]
        if isinstance(value, dict):
            return {key: with_more(item) for key, item in value.items()} | {"from_the_future": {"x": 1}}
        return value

    assert decode(ALL[name], with_more(golden(name))) == decode(ALL[name], golden(name))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_defaulted_field_more_changes_no_hash(name: str) -> None:
    """Rule 5 (the barrier): a deploy never makes a conflict out of a command under way."""
    kind = COMMANDS[name]
    grown = make_dataclass(
        kind.__name__,
        [("added", str, dataclasses.field(default=""))],
        bases=(kind,),
        frozen=True,
        kw_only=True,
    )
    for known in ({}, {"added": "known from the saga's data"}):
        assert command_hash(decode(grown, golden(name) | known)) == command_hash(decode(kind, golden(name)))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_hash_is_the_same_in_every_release(name: str) -> None:
    """Rule 5 (the barrier): old barrier rows are compared with what today's code computes."""
    recorded = json.loads(HASHES.read_text())
    assert command_hash(decode(COMMANDS[name], golden(name))) == recorded[name]


def test_the_later_parts_of_an_address_change_no_hash() -> None:
    """Rule 5 (the barrier): an order under way is still the same command, whichever release takes it."""
    name = "shipment.book_shipment"
    assert command_hash(decode(ALL[name], golden(f"{name}+line2"))) == command_hash(
        decode(ALL[name], golden(name))
    )


def test_no_later_field_with_a_default_counts_in_a_hash() -> None:
    """Rule 5 (the barrier): only what the first release had may be in `hashed_defaults`."""
    recorded = json.loads((GOLDEN / "hashes" / "defaults.json").read_text())
    assert {n: list(k.hashed_defaults) for n, k in COMMANDS.items() if k.hashed_defaults} == recorded


@pytest.mark.parametrize("name", ALL)
def test_contracts_are_frozen_and_by_keyword(name: str) -> None:
    kind = ALL[name]
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert all(field.kw_only for field in dataclasses.fields(kind))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_how_it_is_answered(name: str) -> None:
    """Its reply, and its refusal if it has one, are events of the same service, known by other names."""
    kind = COMMANDS[name]
    assert issubclass(kind.done, Event)
    assert kind.done.service == kind.service
    if kind.refused:
        assert issubclass(kind.refused, Refusal)
        assert kind.refused.service == kind.service
    assert not issubclass(kind, Event)


def test_order_lines_travel_in_one_command_only() -> None:
    """Rule 4 (small chains): 675 lines in two commands would be 274 kB."""
    assert [
        name for name, kind in COMMANDS.items() if "lines" in {f.name for f in dataclasses.fields(kind)}
    ] == ["inventory.reserve_stock"]


def test_replies_are_small() -> None:
    """Rule 4 (small chains): replies are ids, numbers and times; none repeats lines or addresses."""
    small = {"UUID", "int", "str", "datetime", "datetime | None", "tuple[Counted, ...]"}
    for kind in COMMANDS.values():
        for field in dataclasses.fields(kind.done):
            assert str(field.type) in small, f"{kind.done.__name__}.{field.name}"
