"""The three steps as a Restate handler, served by Hypercorn; runs in the peers' environment."""

from __future__ import annotations

from typing import Any

import restate

from tests.bench.peers import steps

orders = restate.Service("Orders")


@orders.handler()
async def place(context: restate.Context, wanted: dict[str, Any]) -> None:
    order = wanted["order"]
    await context.run_typed("take_money", steps.take_money, order=order, amount=wanted["amount"])
    await context.run_typed(
        "take_goods", steps.take_goods, order=order, sku=wanted["sku"], quantity=wanted["quantity"]
    )
    await context.run_typed("send_parcel", steps.send_parcel, order=order, address=wanted["address"])
    await context.run_typed("confirm", steps.confirm, order=order)


app = restate.app([orders])
