"""Reserve, release, commit: all lines or none, each once, never more than there is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from celery_config.contracts.inventory import CommitStock, ReleaseStock
from celery_config.errors import Refused, StepSuperseded
from celery_config.messaging.models import OutboxMessage
from inventory_app import domain, services
from inventory_app.errors import ReservationLost
from inventory_app.models import Movement, Reservation, Stock
from tests.service.together import postgresql


def commit(order: UUID) -> CommitStock:
    return CommitStock(order=order, reservation=domain.reservation_id(order))


def movements(order: UUID) -> list[tuple[Any, ...]]:
    rows = Movement.objects.filter(order=order).order_by("id")
    return list(rows.values_list("kind", "product_id", "quantity", "on_hand", "reserved"))


def test_an_order_is_reserved_and_committed(shop: Any, participant: Any) -> None:
    shop.stock(A=5, B=2)
    order = uuid4()
    reply = participant.do(shop.reserve(order, B=2, A=3))
    assert reply == {"reservation": str(domain.reservation_id(order))}
    assert shop.levels() == {"A": (5, 3), "B": (2, 2)}
    assert participant.do(commit(order)) == reply
    assert shop.levels() == {"A": (2, 0), "B": (0, 0)}
    assert movements(order) == [
        ("reserve", "A", 3, 5, 3),
        ("reserve", "B", 2, 2, 2),
        ("commit", "A", 3, 2, 0),
        ("commit", "B", 2, 0, 0),
    ]
    assert shop.faults() == []


def test_an_undo_frees_what_its_own_rows_say(shop: Any, participant: Any) -> None:
    shop.stock(A=5)
    order, saga = uuid4(), uuid4()
    participant.do(shop.reserve(order, A=3), saga=saga)
    for _ in range(2):
        participant.undo(ReleaseStock(order=order), saga=saga)
    assert shop.levels() == {"A": (5, 0)}
    assert Reservation.objects.get().state == "released"
    assert [row[0] for row in movements(order)] == ["reserve", "release"]
    assert shop.faults() == []


def test_an_undo_before_its_action_leaves_a_tombstone(shop: Any, participant: Any) -> None:
    shop.stock(A=5)
    command, saga = shop.reserve(A=3), uuid4()
    participant.undo(ReleaseStock(order=command.order), saga=saga)
    with pytest.raises(StepSuperseded):
        participant.do(command, saga=saga)
    assert shop.levels() == {"A": (5, 0)}


def test_a_repeat_replies_again_and_holds_nothing_more(shop: Any, participant: Any) -> None:
    shop.stock(A=5)
    command, saga = shop.reserve(A=3), uuid4()
    assert participant.do(command, saga=saga) == participant.do(command, saga=saga)
    assert shop.levels() == {"A": (5, 3)}


@pytest.mark.parametrize(
    ("wanted", "code", "named"),
    [
        ({"A": 1, "NONE": 1}, "unknown_sku", "NONE"),
        ({"A": 1, "OLD": 1}, "inactive_product", "OLD"),
        ({"A": 1, "B": 3}, "out_of_stock", "B (3 wanted, 2 available)"),
        ({"A": 10**30}, "out_of_stock", "A"),
        ({"A": 0}, "invalid_lines", "A"),
        ({}, "invalid_lines", "no lines"),
    ],
)
def test_a_refusal_is_stored_announced_and_changes_nothing(
    shop: Any, participant: Any, wanted: dict[str, int], code: str, named: str
) -> None:
    shop.stock(A=5, B=2, OLD=9)
    services.put_products(products=[shop.product("OLD", active=False)], by="ada")
    before, saga, command = shop.levels(), uuid4(), shop.reserve(**wanted)
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            participant.do(command, saga=saga)
        assert refused.value.code == code
        assert named in refused.value.reason
    assert shop.levels() == before
    assert not Reservation.objects.exists()
    event = OutboxMessage.objects.get(name="inventory.stock_refused").payload
    assert event["data"]["code"] == code
    assert event["subject"] == str(command.order)


def test_nothing_can_be_committed_that_is_not_held(shop: Any, participant: Any) -> None:
    shop.stock(A=5)
    with pytest.raises(ReservationLost, match="no reservation"):
        participant.do(commit(uuid4()))
    order, saga = uuid4(), uuid4()
    participant.do(shop.reserve(order, A=3), saga=saga)
    participant.undo(ReleaseStock(order=order), saga=saga)
    with pytest.raises(ReservationLost, match="is released"):
        participant.do(commit(order))
    assert shop.levels() == {"A": (5, 0)}


def test_what_left_cannot_be_released(shop: Any, participant: Any) -> None:
    shop.stock(A=5)
    order, saga = uuid4(), uuid4()
    participant.do(shop.reserve(order, A=3), saga=saga)
    participant.do(commit(order), saga=saga, step="commit")
    with pytest.raises(ReservationLost, match="is committed"):
        participant.undo(ReleaseStock(order=order), saga=saga)
    assert shop.levels() == {"A": (2, 0)}


@pytest.mark.parametrize("change", [{"on_hand": -1}, {"reserved": -1}, {"reserved": 6}])
def test_the_database_itself_forbids_overselling(shop: Any, change: dict[str, int]) -> None:
    shop.stock(A=5)
    with pytest.raises(IntegrityError), transaction.atomic():
        Stock.objects.update(**change)


@postgresql  # SQLite bears 999 values a statement
def test_675_lines_cost_a_handful_of_statements(
    shop: Any, participant: Any, django_assert_max_num_queries: Any
) -> None:
    wanted = {f"S{n:04d}": n % 7 + 1 for n in range(675)}
    shop.stock(**dict.fromkeys(wanted, 10))
    order, saga = uuid4(), uuid4()
    with django_assert_max_num_queries(12):
        participant.do(shop.reserve(order, **wanted), saga=saga)
    with django_assert_max_num_queries(12):
        participant.do(commit(order), step="commit")
    assert Movement.objects.filter(order=order).count() == 2 * 675
    other = uuid4()
    participant.do(shop.reserve(other, **dict.fromkeys(wanted, 1)), saga=saga, step="other")
    with django_assert_max_num_queries(12):
        participant.undo(ReleaseStock(order=other), saga=saga, step="other")
    assert shop.faults() == []


def test_what_a_saga_holds_never_expires_by_itself(shop: Any, participant: Any, settings: Any) -> None:
    """Rule 9: whatever the relay does from time to time, a reservation ends by its saga's command only."""
    shop.stock(A=5)
    order = uuid4()
    participant.do(shop.reserve(order, A=3))
    Reservation.objects.filter(order=order).update(created_at=timezone.now() - timedelta(days=400))
    for duty in [duty for path in settings.RELAY_DUTIES for duty in import_string(path)()]:
        duty.run()
    assert shop.levels() == {"A": (5, 3)}
    assert Reservation.objects.get(order=order).state == "held"
