"""The sides of the comparison, as the client process uses them: each places orders and counts their ends."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol, cast


class Side(Protocol):
    """One system under one load."""

    def make_requests(self, count: int, refused_share: float) -> Iterable[Any]:
        """Return what to place, the same for every side of a load."""

    def place(self, request: Any) -> None:
        """Place one order, as the service's API does, but not over HTTP."""

    def count_ended(self) -> int:
        """Return how many orders of this run have ended."""

    def read_times(self) -> list[tuple[datetime, datetime]]:
        """Return when each was accepted and when it ended."""

    def count_statuses(self) -> Counter[str]:
        """Return how many orders have each status."""


SIDES = {
    "place-order": "tests.bench.ours",
    "place-order over HTTP": "tests.bench.over_http",
    "place-order over REST": "tests.bench.over_rest",
    "place-order choreographed": "tests.bench.choreographed",
    "place-order bare": "tests.bench.bare.order",
    "three-steps": "tests.bench.three.ours",
    "three-steps bare": "tests.bench.three.bare",
    "three-steps floor": "tests.bench.three.floor",
    "three-steps DBOS": "tests.bench.peers.dbos_side",
    "three-steps Restate": "tests.bench.peers.restate_side",
}
PEERS = {"three-steps DBOS", "three-steps Restate"}
"""The sides whose client runs in the environment of the peers, which has no Django."""


def make_side(name: str) -> Side:
    """Return the side of this name; its module makes it in `make_side()`."""
    return cast("Side", importlib.import_module(SIDES[name]).make_side())
