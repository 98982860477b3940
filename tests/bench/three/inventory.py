"""The inventory service's part: rows are locked in one order, and nobody gets what is not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from django.db import connection

from celery_config.errors import Refused
from celery_config.participant import handles
from tests.bench.three.contracts import GoodsTaken, PutGoodsBack, TakeGoods

LOCK = "SELECT sku, available FROM three_stock WHERE sku = ANY(%s) ORDER BY sku FOR UPDATE"
CHANGE = (
    "UPDATE three_stock SET available = available + change"
    " FROM unnest(%s::text[], %s::int[]) AS moved (moved_sku, change) WHERE sku = moved_sku"
)
NOTE = "INSERT INTO three_taken SELECT * FROM unnest(%s::uuid[], %s::text[], %s::int[])"
FORGET = "DELETE FROM three_taken WHERE order_id = ANY(%s) RETURNING sku, quantity"


@handles(TakeGoods)
def take_goods(commands: Sequence[TakeGoods]) -> list[GoodsTaken | Refused]:
    outcomes: list[GoodsTaken | Refused] = []
    given: list[TakeGoods] = []
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [sorted({command.sku for command in commands})])
        left = dict(cursor.fetchall())
        for command in commands:
            if left.get(command.sku, 0) < command.quantity:
                outcomes.append(Refused("out_of_stock", f"{command.sku} is sold out"))
                continue
            left[command.sku] -= command.quantity
            given.append(command)
            outcomes.append(GoodsTaken(order=command.order))
        if given:
            move(Counter(command.sku for command in given for _ in range(command.quantity)), -1)
            cursor.execute(
                NOTE, [[c.order for c in given], [c.sku for c in given], [c.quantity for c in given]]
            )
    return outcomes


@handles(PutGoodsBack)
def put_goods_back(commands: Sequence[PutGoodsBack]) -> list[None]:
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [[command.order for command in commands]])
        put_back: Counter[str] = Counter()
        for sku, quantity in cursor.fetchall():
            put_back[sku] += quantity
        cursor.execute(LOCK, [sorted(put_back)])
    move(put_back, 1)
    return [None] * len(commands)


def move(quantities: Counter[str], direction: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(CHANGE, [list(quantities), [direction * n for n in quantities.values()]])
