"""The floor: the same rows by raw psycopg in one process, with no broker and no guarantee. No system can cost less."""

from __future__ import annotations

from celery_config.common.identifiers import uuid7
from tests.bench.three import steps
from tests.bench.three.goods import Purchase
from tests.bench.three.side import ThreeStepsSide


class Floor(ThreeStepsSide):
    def place(self, request: Purchase) -> None:
        order = str(uuid7())
        steps.insert_order(order, request.amount)
        steps.take_money(order, request.amount)
        steps.take_goods(order, request.sku, request.quantity)
        steps.send_parcel(order, request.address)
        steps.confirm_order(order)


def make_side() -> Floor:
    return Floor()
