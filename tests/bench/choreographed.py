"""The same, choreographed."""

from __future__ import annotations

from functools import partial

from order_project.domain import Flow
from tests.bench.ours import place
from tests.bench.placed import PlacedOrders


def side() -> PlacedOrders:
    return PlacedOrders(partial(place, flow=Flow.CHOREOGRAPHED))
