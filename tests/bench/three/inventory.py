"""The handlers of the inventory service: they lock rows in one order and never sell more than is in stock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from django.db import connection

from celery_config.errors import Refused
from celery_config.participant.handlers import handles
from tests.bench.three.contracts import GoodsTaken, PutGoodsBack, TakeGoods
from tests.bench.three.sql import FORGET_TAKEN, LOCK_STOCK, MOVE_STOCK, NOTE_TAKEN


@handles(TakeGoods)
def take_goods(commands: Sequence[TakeGoods]) -> list[GoodsTaken | Refused]:
    outcomes: list[GoodsTaken | Refused] = []
    given: list[TakeGoods] = []
    with connection.cursor() as cursor:
        cursor.execute(LOCK_STOCK, [sorted({command.sku for command in commands})])
        left = dict(cursor.fetchall())
        for command in commands:
            if left.get(command.sku, 0) < command.quantity:
                outcomes.append(Refused("out_of_stock", f"{command.sku} is sold out"))
                continue
            left[command.sku] -= command.quantity
            given.append(command)
            outcomes.append(GoodsTaken(order=command.order))
        if given:
            change_stock(Counter(command.sku for command in given for _ in range(command.quantity)), -1)
            cursor.execute(
                NOTE_TAKEN, [[c.order for c in given], [c.sku for c in given], [c.quantity for c in given]]
            )
    return outcomes


@handles(PutGoodsBack)
def put_goods_back(commands: Sequence[PutGoodsBack]) -> list[None]:
    with connection.cursor() as cursor:
        cursor.execute(FORGET_TAKEN, [[command.order for command in commands]])
        put_back: Counter[str] = Counter()
        for sku, quantity in cursor.fetchall():
            put_back[sku] += quantity
        cursor.execute(LOCK_STOCK, [sorted(put_back)])
    change_stock(put_back, 1)
    return [None] * len(commands)


def change_stock(quantities: Counter[str], direction: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(MOVE_STOCK, [list(quantities), [direction * n for n in quantities.values()]])
