"""The Restate handler of the three steps, served by Hypercorn. It runs in the environment of the peers."""

from __future__ import annotations

from typing import Any

import restate

from tests.bench.three import steps

orders = restate.Service("Orders")


@orders.handler()
async def place(context: restate.Context, request: dict[str, Any]) -> None:
    order = request["order"]
    await context.run_typed("take_money", steps.take_money, order=order, amount=request["amount"])
    await context.run_typed(
        "take_goods", steps.take_goods, order=order, sku=request["sku"], quantity=request["quantity"]
    )
    await context.run_typed("send_parcel", steps.send_parcel, order=order, address=request["address"])
    await context.run_typed("confirm", steps.confirm_order, order=order)


app = restate.app([orders])
