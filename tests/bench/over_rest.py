"""The same, with every command sent over REST instead of RabbitMQ."""

from __future__ import annotations

from django.conf import settings

from order_project.sagas.place_order import PlaceOrderOverHttp
from tests.bench.ours import place
from tests.bench.placed import PlacedOrders


def side() -> PlacedOrders:
    settings.PLACE_ORDER_VERSION = PlaceOrderOverHttp.version
    return PlacedOrders(place)
