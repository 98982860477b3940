"""Place-order by choreography."""

from __future__ import annotations

from functools import partial

from order_project.domain import Flow
from tests.bench.order_side import OrderSide
from tests.bench.ours import place_one


def make_side() -> OrderSide:
    return OrderSide(partial(place_one, flow=Flow.CHOREOGRAPHED))
