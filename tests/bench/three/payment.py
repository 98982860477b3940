"""The handlers of the payment service."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from django.db import connection

from celery_config.participant.handlers import handles
from tests.bench.three.contracts import GiveMoneyBack, MoneyTaken, TakeMoney
from tests.bench.three.sql import GIVE_MONEY_BACK, TAKE_MONEY


@handles(TakeMoney)
def take_money(commands: Sequence[TakeMoney]) -> list[MoneyTaken]:
    taken = [MoneyTaken(payment=uuid4()) for _ in commands]
    with connection.cursor() as cursor:
        cursor.execute(
            TAKE_MONEY,
            [[t.payment for t in taken], [c.order for c in commands], [c.amount for c in commands]],
        )
    return taken


@handles(GiveMoneyBack)
def give_money_back(commands: Sequence[GiveMoneyBack]) -> list[None]:
    with connection.cursor() as cursor:
        cursor.execute(GIVE_MONEY_BACK, [[command.order for command in commands]])
    return [None] * len(commands)
