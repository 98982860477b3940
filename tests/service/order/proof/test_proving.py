"""Each order that ended is proved once, soon, and by what all services say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from celery_config.db.functions import fetch_now
from celery_config.saga.engine import runner
from order_project.models import Order
from order_project.proof import measures
from order_project.proof.conditions import find_broken
from order_project.proof.duties import proof_duties
from order_project.proof.measures import check_proof, read_state
from order_project.proof.models import BrokenPromise, DailyStatement, ProofMark
from order_project.proof.proving import Prover
from tests.service.order.conftest import REPLIES, Placed, Shop
from tests.service.order.goods import HEART
from tests.service.order.other_services import Services
from tests.service.together import concurrent

pytestmark = pytest.mark.django_db
CAPTURED_LESS = "completed, yet its payment is captured with 1 of 1785 captured"


def complete(shop: Shop, others: Services, *, ago: float = 0.0) -> Placed:
    """An order that ended some seconds ago, and was carried out."""
    placed = shop.order()
    runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
    others.carried_out(placed)
    if ago:
        Order.objects.filter(pk=placed.id).update(ended_at=timezone.now() - timedelta(seconds=ago))
    return placed


@pytest.fixture
def prover() -> Prover:
    """One that has begun a minute ago."""
    prover = Prover()
    prover.run()
    back = fetch_now() - timedelta(minutes=1)
    ProofMark.objects.update(proved_to=back, settled_to=back, seen_at=None)
    return prover


def is_proved(prover: Prover, placed: Placed) -> bool:
    return placed.id in prover.proved or ProofMark.objects.get().proved_to >= placed.order.ended_at


def facts_asked(others: Services) -> int:
    return sum(path == "/api/facts/" for _, path in others.asked)


class TestAnOrderThatEnded:
    def test_is_proved_once(self, shop: Shop, others: Services, prover: Prover) -> None:
        complete(shop, others)
        prover.run()
        assert facts_asked(others) == 3
        prover.run()
        assert facts_asked(others) == 3
        assert BrokenPromise.objects.count() == 0
        assert measures.check_proof() == "ok"

    @pytest.mark.parametrize(
        ("service", "said"),
        [
            ("payment", {"refunded": "many"}),
            ("inventory", {"lines": 5}),
            ("inventory", {"prices": []}),
            ("inventory", {"prices": {HEART: {"since": 5, "amounts": 7}}}),
        ],
        ids=str,
    )
    def test_of_which_a_service_says_nonsense_hides_no_other(
        self, shop: Shop, others: Services, prover: Prover, service: str, said: dict[str, Any]
    ) -> None:
        strange, cheated = complete(shop, others, ago=40), complete(shop, others, ago=40)
        others.did(service, strange, **said)
        others.did("payment", cheated, captured=1)
        prover.run()
        found = dict(BrokenPromise.objects.filter(order=cheated.id).values_list("order", "what"))
        assert found == {cheated.id: CAPTURED_LESS}
        assert BrokenPromise.objects.filter(order=strange.id).exists()

    def test_waits_for_a_service_that_answers_in_another_shape(
        self, shop: Shop, others: Services, prover: Prover
    ) -> None:
        placed = complete(shop, others)
        others.facts["shipment"][str(placed.id)] = "dispatched"  # type: ignore[assignment]
        prover.run()
        assert not is_proved(prover, placed)
        assert measures.check_proof() == "ok"

    def test_of_which_something_does_not_fit_is_written_down_after_a_while(
        self, shop: Shop, others: Services, prover: Prover
    ) -> None:
        placed = complete(shop, others)
        others.did("payment", placed, captured=1)
        prover.run()
        assert BrokenPromise.objects.count() == 0
        Order.objects.filter(pk=placed.id).update(ended_at=timezone.now() - timedelta(seconds=40))
        for _ in range(2):
            prover.run()
        row = BrokenPromise.objects.get()
        assert (row.order, row.what) == (placed.id, CAPTURED_LESS)
        assert measures.check_proof() == "warning: 1 promise is broken; see order's admin"
        (condition,) = find_broken()
        assert condition.sentence == "What the services say of 1 order does not fit together."

    def test_that_fits_a_moment_later_is_proved(self, shop: Shop, others: Services, prover: Prover) -> None:
        placed = complete(shop, others)
        others.did("payment", placed, captured=1)
        prover.run()
        others.carried_out(placed)
        Order.objects.filter(pk=placed.id).update(ended_at=timezone.now() - timedelta(seconds=40))
        prover.run()
        assert BrokenPromise.objects.count() == 0

    def test_does_not_spoil_the_proof_of_others(self, shop: Shop, others: Services, prover: Prover) -> None:
        bad, good = complete(shop, others, ago=40), complete(shop, others, ago=39)
        others.did("payment", bad, captured=1)
        prover.run()
        assert [row.order for row in BrokenPromise.objects.all()] == [bad.id]
        assert is_proved(prover, good)


class TestAServiceThatDoesNotAnswer:
    def test_lets_orders_wait_and_says_since_when(self, shop: Shop, others: Services, prover: Prover) -> None:
        placed = complete(shop, others, ago=50)
        others.away = "shipment"
        prover.run()
        mark = ProofMark.objects.get()
        assert mark.waits_since == placed.order.ended_at
        assert mark.proved_to < placed.order.ended_at
        assert 49 < measures.read_state().late_seconds < 70
        assert BrokenPromise.objects.count() == 0
        others.away = ""
        prover.run()
        assert measures.read_state().late_seconds == 0
        assert is_proved(prover, placed)

    def test_a_relay_that_makes_no_pass_is_late(self, others: Services, prover: Prover) -> None:
        ProofMark.objects.update(passed_at=timezone.now() - timedelta(minutes=5))
        assert measures.read_state().late_seconds == pytest.approx(300, abs=5)
        assert measures.check_proof().startswith("warning: orders wait for their proof for 30")


class TestSeveralRelays:
    def test_one_proves_and_the_other_takes_over(self, shop: Shop, others: Services, prover: Prover) -> None:
        complete(shop, others)
        prover.run()
        other = Prover()
        other.run()
        assert facts_asked(others) == 3
        ProofMark.objects.update(held_until=timezone.now() - timedelta(seconds=1))
        other.run()
        assert facts_asked(others) == 6
        assert other.proved.keys() == prover.proved.keys()


class TestTheMark:
    def test_forgets_orders_that_it_has_passed(
        self, shop: Shop, others: Services, prover: Prover, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        placed = complete(shop, others)
        prover.run()
        assert placed.id in prover.proved
        ProofMark.objects.update(settled_to=fetch_now())
        prover.run()
        assert prover.proved == {}
        assert ProofMark.objects.get().proved_to > placed.order.ended_at

    @concurrent
    def test_does_not_pass_an_end_that_is_not_committed(self, shop: Shop, others: Services) -> None:
        placed = complete(shop, others)
        end = timezone.now() - timedelta(seconds=50)
        Order.objects.update(ended_at=None)
        prover = Prover()
        prover.run()
        late = connection.copy()
        late.set_autocommit(False)
        back = fetch_now() - timedelta(minutes=1)
        ProofMark.objects.update(proved_to=back, settled_to=back, seen_at=None)
        try:
            with late.cursor() as cursor:
                cursor.execute("UPDATE order_order SET ended_at = %s WHERE id = %s", [end, placed.id])
            for _ in range(3):
                prover.run()
            assert ProofMark.objects.get().proved_to <= end
            late.commit()
        finally:
            late.close()
        assert facts_asked(others) == 0
        prover.run()
        assert facts_asked(others) == 3


class TestDailyStatements:
    def test_each_day_has_one_when_it_is_proved(
        self, shop: Shop, others: Services, prover: Prover, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        placed, bad = complete(shop, others), complete(shop, others)
        others.did("payment", bad, captured=1)
        ended = timezone.now() - timedelta(days=1, hours=1)
        Order.objects.update(ended_at=ended)
        two_days = timezone.now() - timedelta(days=2)
        ProofMark.objects.update(proved_to=two_days, settled_to=timezone.now())
        prover.run()
        day = DailyStatement.objects.get(day=ended.date())
        assert (day.orders, day.violations) == (2, 1)
        assert (day.books, day.copies) == ("not known", "not known")
        prover.run()
        assert DailyStatement.objects.filter(day=ended.date()).count() == 1
        assert placed.id not in {row.order for row in BrokenPromise.objects.all()}


def test_the_cost_does_not_grow_with_orders_that_are_proved(
    shop: Shop, others: Services, prover: Prover, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    for _ in range(5):
        complete(shop, others)
    prover.run()
    with django_assert_max_num_queries(18):
        prover.run()


def test_what_is_shown(admin_client: Any, shop: Shop, others: Services, prover: Prover) -> None:
    placed = complete(shop, others, ago=40)
    others.did("payment", placed, captured=1)
    prover.run()
    DailyStatement.objects.create(day="2026-01-01", orders=3, violations=0, books="equal", copies="equal")
    board = admin_client.get("/admin/board/proof/").content.decode()
    assert "Broken promises" in board
    page = admin_client.get("/admin/proof/brokenpromise/").content.decode()
    assert CAPTURED_LESS in page
    assert "equal" in admin_client.get("/admin/proof/dailystatement/").content.decode()
    (told,) = admin_client.get("/api/broken-promises/").json()["results"]
    assert (told["order"], told["what"]) == (str(placed.id), CAPTURED_LESS)
    assert admin_client.get("/api/daily-statements/").json()["results"][0]["orders"] == 3


def test_it_may_be_switched_off_and_says_so(
    admin_client: Any, shop: Shop, others: Services, prover: Prover, settings: Any
) -> None:
    placed = complete(shop, others, ago=40)
    others.did("payment", placed, captured=1)
    prover.run()
    ProofMark.objects.update(passed_at=timezone.now() - timedelta(hours=1))
    assert len(proof_duties()) == 1
    assert read_state().late_seconds > 3000
    settings.PROVE_ORDERS = False
    assert proof_duties() == []
    assert (read_state().broken, read_state().late_seconds) == (1, 0.0), "what was found stays"
    assert "PROVE_ORDERS switches it off" in admin_client.get("/admin/board/proof/").content.decode()
    BrokenPromise.objects.update(dealt_with_at=timezone.now())
    assert check_proof() == "ok: PROVE_ORDERS switches it off"
