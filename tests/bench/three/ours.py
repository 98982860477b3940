"""The three steps by the order saga: the order and its saga are written in one transaction."""

from __future__ import annotations

from tests.bench.three.goods import Purchase
from tests.bench.three.order import place_orders
from tests.bench.three.side import ThreeStepsSide


class Ours(ThreeStepsSide):
    def place(self, request: Purchase) -> None:
        place_orders([request])


def make_side() -> Ours:
    return Ours()
