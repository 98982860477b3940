"""Why a worker rejected a message that Celery could read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from celery_config.contracts.base import encode
from celery_config.saga.dead_letters.shapes import find_mismatch, step_shapes
from celery_config.saga.engine.chains import ChainBuilder
from celery_config.saga.engine.machine import Drive, Stop
from celery_config.saga.testing import list_links
from tests.trip import Trip, trip_data

BOOK, CANCEL, CHARGE, FENCE = (
    "inventory.book_hotel",
    "inventory.cancel_hotel",
    "payment.charge_trip",
    "payment.fence",
)


@dataclass(frozen=True, kw_only=True)
class StepMessage:
    saga: str
    command: dict[str, Any]
    needs: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class FenceMessage:
    saga: str
    pivot: str


SHAPES = step_shapes([Trip], StepMessage, FenceMessage)
CHAINS = ChainBuilder(Trip, uuid4(), encode(trip_data()), 0)
SENT = {
    link["task"]: link["kwargs"]
    for chain in (CHAINS.build(Stop()), CHAINS.build(Drive("hotel")))
    for link in list_links(chain)
}
HOTEL = {"hotel": {"booking": str(uuid4())}}


def of(task: str, *args: Any, queue: str = "", **changed: Any) -> str | None:
    return find_mismatch(SHAPES[task], queue or SHAPES[task].queues[-1], [*args], SENT[task] | changed)


def test_every_command_undo_and_fence_has_a_shape() -> None:
    commands = {
        command.wire_name() for step in Trip.steps for command in (step.command, step.undo) if command
    }
    assert set(SHAPES) == commands | {"inventory.fence", "shipment.fence", "payment.fence"}


@pytest.mark.parametrize("task", [BOOK, CANCEL, CHARGE, FENCE])
def test_what_a_saga_sends_fits(task: str) -> None:
    assert of(task, HOTEL) is None


def test_where_it_came_from_may_be_unknown() -> None:
    assert find_mismatch(SHAPES[BOOK], "", [{}], SENT[BOOK]) is None


@pytest.mark.parametrize(
    ("task", "args", "changed", "told"),
    [
        (BOOK, [{}], {"command": {"trip": str(uuid4())}}, "Object missing required field `nights`"),
        (BOOK, [{}], {"command": {"trip": 1, "nights": 1}}, "Expected `uuid`, got `int` - at `$.trip`"),
        (BOOK, [{}], {"command": 1}, "Expected `object`, got `int` - at `$.command`"),
        (BOOK, [{}], {"saga": None}, "Expected `str`, got `null` - at `$.saga`"),
        (BOOK, [], {}, "0 positional arguments instead of 1"),
        (BOOK, [{}, {}], {}, "2 positional arguments instead of 1"),
        (BOOK, ["x"], {}, "Expected `object`, got `str` - at `$[0]`"),
        (BOOK, [{}], {"queue": "payment.commands"}, "it came to 'payment.commands', whose workers"),
        (CHARGE, [{}], {}, "the replies before it lack what it needs: KeyError('hotel')"),
        (CHARGE, [{"hotel": {}}], {}, "the replies before it lack what it needs: KeyError('booking')"),
        (CHARGE, [{"hotel": None}], {}, "the replies before it lack what it needs: TypeError"),
        (CHARGE, [{"hotel": {"booking": "x"}}], {}, "Invalid UUID - at `$.booking`"),
        (FENCE, [{}], {"pivot": None}, "Expected `str`, got `null` - at `$.pivot`"),
    ],
)
def test_what_does_not_fit_is_named(task: str, args: list[Any], changed: dict[str, Any], told: str) -> None:
    assert (of(task, *args, **changed) or "").startswith(told)
