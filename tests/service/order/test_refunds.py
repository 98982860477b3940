"""Refunds: a saga of their own each, never beyond the order's total (rule 23, refunds)."""

from __future__ import annotations

from uuid import UUID

import pytest

from celery_config.saga.engine import runner
from celery_config.saga.engine.machine import StepFailed
from celery_config.saga.models import SagaInstance
from celery_config.saga.states import StepState
from order_project import services
from order_project.errors import NotRefundable
from order_project.models import Refund
from tests.service.order.conftest import REPLIES, Placed, Shop, merge
from tests.service.together import concurrent, together

pytestmark = pytest.mark.django_db
TOTAL = 1785


@pytest.fixture
def confirmed(placed: Placed) -> Placed:
    runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
    return placed


def ask(placed: Placed, amount: int) -> Refund:
    return services.request_refund(order=placed.id, amount=amount, reason="broken", by="ada")


def pay(refund: Refund) -> None:
    reply = {"refund": str(refund.id), "refunded_amount": refund.amount}
    runner.complete_sagas({refund.saga: runner.ChainEnd({"refund-payment": reply})})


def refuse(refund: Refund) -> None:
    cause = {"step": "refund-payment", "code": "step_failed", "reason": ""}
    merge(refund.saga, "refund-payment", StepState.REFUSED, {"code": "card_closed", "reason": "no such card"})
    runner.handle_trigger(refund.saga, StepFailed("refund-payment", "do"), cause=cause)
    runner.end_stop_chains({refund.saga: runner.StopChainEnd({})})


def status(refund: Refund) -> str:
    return str(Refund.objects.get(pk=refund.pk).status)


def test_it_is_a_saga_of_its_own(confirmed: Placed) -> None:
    """Rule 23."""
    refund = ask(confirmed, 255)
    saga = SagaInstance.objects.get(pk=refund.saga)
    assert (saga.name, saga.subject) == ("refund-order", str(confirmed.id))
    assert saga.data == {
        "order": str(confirmed.id), "refund": str(refund.id), "refund_amount": 255, "currency": "EUR"
    }  # fmt: skip
    assert status(refund) == "asked"
    pay(refund)
    assert status(refund) == "paid"
    assert confirmed.order.status == "confirmed"


def test_a_refused_one_says_why(confirmed: Placed) -> None:
    refund = ask(confirmed, 255)
    refuse(refund)
    assert status(refund) == "refused"
    assert Refund.objects.get().detail == "card_closed: no such card"


def test_all_together_stay_within_the_total(confirmed: Placed) -> None:
    """Rule 23: those under way count, refused ones do not."""
    pay(ask(confirmed, 1000))
    under_way = ask(confirmed, 700)
    with pytest.raises(NotRefundable, match=r"€0\.85 of €17\.85 remain, and €0\.86"):
        ask(confirmed, 86)
    refuse(under_way)
    ask(confirmed, 785)
    with pytest.raises(NotRefundable):
        ask(confirmed, 1)


def test_only_a_confirmed_order_is_refunded(placed: Placed) -> None:
    with pytest.raises(NotRefundable, match="confirmed order can be refunded; this one is placed"):
        ask(placed, 1)
    assert not Refund.objects.exists()
    assert SagaInstance.objects.count() == 1


def test_one_refund_closes_no_other(confirmed: Placed) -> None:
    """Rule 23: each touches only its own row."""
    one, other = ask(confirmed, 100), ask(confirmed, 200)
    refuse(one)
    assert status(other) == "asked"
    pay(other)
    assert (status(one), status(other)) == ("refused", "paid")


@concurrent
def test_many_at_once_stay_within_the_total(shop: Shop) -> None:
    """Rule 23: the order's row is locked while the sum is taken."""
    placed = shop.order()
    runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
    asked = together(*[lambda: ask(placed, 500)] * 6)
    assert sorted(type(r).__name__ for r in asked) == ["NotRefundable"] * 3 + ["Refund"] * 3
    assert sum(Refund.objects.values_list("amount", flat=True)) <= TOTAL
    assert {type(r.id) for r in asked if isinstance(r, Refund)} == {UUID}
