"""Place-order by the order saga, with every command sent over REST instead of RabbitMQ."""

from __future__ import annotations

from django.conf import settings

from order_project.sagas.place_order import PlaceOrderOverHttp
from tests.bench.order_side import OrderSide
from tests.bench.ours import place_one


def make_side() -> OrderSide:
    settings.PLACE_ORDER_VERSION = PlaceOrderOverHttp.version
    return OrderSide(place_one)
