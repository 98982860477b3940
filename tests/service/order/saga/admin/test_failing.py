"""What fails again and again is on the board before it waits for a decision, and is hurried all at once."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from celery_config.saga.engine import runner
from celery_config.saga.models import OperatorAction, StepTry
from celery_config.saga.operations import failing
from tests.service.order.conftest import Placed, Shop
from tests.service.order.saga.admin.test_operator_pages import follow, said, shown

pytestmark = pytest.mark.django_db
MONEY = "authorize-payment"
VOID_500 = 'POST /v1/void: answered 500: {"error": {"reason": "out of order"}}'
LINE = "the payment provider answered 500 when asked to void the payment: out of order"


def fail(placed: Placed, number: int, next_in: float | None = 60) -> None:
    """Let payment tell that the undo of a cancelled order failed."""
    next_at = None if next_in is None else timezone.now() + timedelta(seconds=next_in)
    StepTry.objects.create(
        event=uuid4(), flow=placed.saga_id, step=MONEY, operation="undo", number=number, code="unknown_outcome",
        reason=VOID_500, at=timezone.now(), next_at=next_at,
    )  # fmt: skip


def cancel(placed: Placed) -> None:
    placed.log_as("done", MONEY)
    runner.request_stop(placed.saga_id, code="cancelled", reason="cancelled by us")
    placed.log_as("undone", "capture-payment", "book-shipment", "reserve-stock")
    placed.heard()


@pytest.fixture
def failing_undos(shop: Shop) -> list[Placed]:
    found = [shop.order() for _ in range(3)]
    for number, placed in enumerate(found):
        cancel(placed)
        fail(placed, 4 + number)
    return found


def read_board(client: Client) -> str:
    return shown(client, reverse("admin:board", args=["failing"]))


def test_the_board_says_how_many_fail_for_which_cause_how_often_and_when_they_are_tried_again(
    admin_client: Client, failing_undos: list[Placed]
) -> None:
    page = read_board(admin_client)
    assert "Tried again and again" in page
    assert LINE in page
    text = re.sub(r"<[^>]+>", " ", page)
    assert "3 sagas, being cancelled" in text
    assert '<span class="whole">6 times</span>' in page


def test_the_board_reads_only_so_many_and_says_so(
    admin_client: Client, failing_undos: list[Placed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celery_config.saga.admin.board.MOST_POLLED", 2)
    page = read_board(admin_client)
    assert "at least 2 sagas, being cancelled" in page
    assert "3 sagas fail" in shown(admin_client, follow(page, "Look and hurry"))


def test_three_clicks_and_a_reason_hurry_all_of_it(admin_client: Client, failing_undos: list[Placed]) -> None:
    listed = shown(admin_client, follow(read_board(admin_client), "Look and hurry"))
    assert "3 sagas fail" in listed
    address = follow(listed, "Bring to an end: all 3 <small>recommended")
    page = shown(admin_client, address)
    keys = re.findall(r'name="_selected_action" value="([^"]+)"', page)
    html = said(admin_client, address, confirmed="yes", why="provider is mended", _selected_action=keys)
    assert "What became of 3 sagas" in html
    assert [(did.verb, did.why) for did in OperatorAction.objects.all()] == [
        ("retry", "provider is mended")
    ] * 3
    # What is missing is sent now, and not when the next try is due.
    assert [placed.chains for placed in failing_undos] == [
        [["payment.void_payment", "order.compensated"]]
    ] * 3


def test_one_alone_is_hurried_on_its_page(admin_client: Client, placed: Placed) -> None:
    cancel(placed)
    fail(placed, 5)
    where = follow(read_board(admin_client), "Look and hurry")
    assert where == reverse("admin:saga_sagainstance_change", args=[placed.saga_id])
    page = shown(admin_client, reverse("admin:saga_sagainstance_story", args=[placed.saga_id]))
    assert "Bring to an end <small>recommended" in page


def test_what_failed_once_or_goes_on_or_waits_already_is_not_shown(admin_client: Client, shop: Shop) -> None:
    once, on, parked = (shop.order() for _ in range(3))
    for placed in (once, on, parked):
        cancel(placed)
    fail(once, 1)
    for placed in (on, parked):
        fail(placed, 5)
    on.log_as("undone", MONEY)
    parked.set(status="parked", due_at=None, fingerprint=LINE, owner="operations")
    assert "Nothing fails." in read_board(admin_client)


def test_what_its_service_gave_up_is_shown_until_it_is_sent_again(
    admin_client: Client, placed: Placed
) -> None:
    cancel(placed)
    fail(placed, 5, next_in=None)
    failure = {"operation": "undo", "code": "unknown_outcome", "reason": VOID_500, "times": 5}
    placed.saga.steps.filter(name=MONEY).update(failure=failure)
    (group,) = failing.read_failing()
    assert (group.line, group.tries, group.ids) == (LINE, 5, [placed.saga_id])
    assert group.next_at is not None


def test_a_list_reads_only_so_many_and_says_so(
    admin_client: Client, failing_undos: list[Placed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failing, "MOST_READ", 2)
    listed = shown(admin_client, follow(read_board(admin_client), "Look and hurry"))
    assert "At least 2 sagas fail" in listed
    assert "Bring to an end: the first 2" in listed
