"""What is compared, as the client process sees it: who places what, and how one sees that it ended."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol, cast


class Side(Protocol):
    """One system under one load."""

    def wanted(self, count: int, refused_share: float) -> Iterable[Any]:
        """What is placed, the same for every side of a load."""

    def place(self, wanted: Any) -> None:
        """Place one, as the service's API would, without the HTTP around it."""

    def ended(self) -> int:
        """How many have ended since this was made."""

    def times(self) -> list[tuple[datetime, datetime]]:
        """When each was accepted and when it ended."""

    def statuses(self) -> Counter[str]:
        """How many ended how."""


SIDES = {
    "place-order": "tests.bench.ours",
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
"""Those whose client runs in the peers' environment, where there is no Django."""


def side(name: str) -> Side:
    """The side called so; its module makes it in `side()`."""
    return cast("Side", importlib.import_module(SIDES[name]).side())
