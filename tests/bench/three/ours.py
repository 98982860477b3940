"""Placing an order of three steps here: the order and its saga in one transaction."""

from __future__ import annotations

from tests.bench.three.goods import Wanted
from tests.bench.three.order import place_all
from tests.bench.three.placed import PlacedThree


class Ours(PlacedThree):
    def place(self, wanted: Wanted) -> None:
        place_all([wanted])


def side() -> Ours:
    return Ours()
