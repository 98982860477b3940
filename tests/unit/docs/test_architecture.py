"""The map is the one that the code makes, and every hop of an order names a function that exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from docs import architecture

ROOT = Path(__file__).resolve().parents[3]
TEXT = architecture.PAGE.read_text(encoding="utf-8")
OF_ORDERS = ("order_project", "payment_app", "inventory_app", "shipment_app")
HOPS = TEXT.partition("## Follow one order")[2]


def hops() -> Iterator[tuple[str, str]]:
    """Each function of the walk, with the file that is named before it."""
    file = ""
    for name in re.findall(r"`([^`]+)`", HOPS):
        if name.endswith(".py"):
            file = name
        elif name.endswith("()"):
            yield file, name.removesuffix("()")


@cache
def names_in(file: str) -> set[str]:
    """The functions, classes and methods that the file defines."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, kinds)]
    methods = [f"{each.name}.{node.name}" for each in found for node in each.body if isinstance(node, kinds)]
    return {*(each.name for each in found), *methods}


def test_the_map_is_what_the_code_says() -> None:
    """After a change: `./manage.py architecture --write`."""
    assert architecture.page() == TEXT


def test_every_room_is_on_a_floor_and_no_import_goes_up() -> None:
    floors = architecture.floors()
    level = {room: number for number, floor in enumerate(floors) for room in floor}
    assert level.keys() == architecture.read_imports().keys()
    imports = [(room, each) for room, some in architecture.read_imports().items() for each in some]
    assert [pair for pair in imports if level[pair[0]] > level[pair[1]]] == []


def test_every_room_says_what_it_is_for() -> None:
    assert [room for room, purpose in architecture.describe_rooms() if not purpose] == []


@pytest.mark.parametrize(("file", "function"), sorted(set(hops())))
def test_a_hop_names_a_function_that_exists(file: str, function: str) -> None:
    assert function in names_in(file)


def test_the_walk_goes_through_every_service_of_an_order() -> None:
    assert {file.partition("/")[0] for file, _ in hops()} == {"celery_config", *OF_ORDERS}
