"""What a service says of its own step may be anything: it breaks nothing of others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from celery.exceptions import Reject
from django.conf import settings
from django.test import Client, override_settings

from celery_config.broker.message_authentication import Mode
from celery_config.messaging.barrier.steps import STEP_LOST
from celery_config.messaging.inbox.subscriptions import deliver
from celery_config.saga.conditions import read_ends_of_holds
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.operations.known_flows import describe
from celery_config.saga.testing import list_links
from tests.service.order.conftest import REPLIES, Placed, run
from tests.service.order.saga.engine.test_authenticity import say

pytestmark = pytest.mark.django_db


def announce(placed: Placed, kind: str, outcome: str, data: Any, step: str = "reserve-stock") -> None:
    event = {
        "id": str(uuid4()), "source": "/inventory", "type": f"inventory.{kind}", "subject": str(placed.id),
        "time": "2026-12-01T12:00:00Z", "saga": str(placed.saga_id), "step": step, "operation": "do",
        "outcome": outcome, "data": data,
    }  # fmt: skip
    deliver([event])


def lose(placed: Placed) -> None:
    """Park the order, as the service of a step can."""
    kwargs = {
        "saga": str(placed.saga_id), "step": "reserve-stock", "operation": "do", "reason": "gone",
        "service": "inventory",
    }  # fmt: skip
    run(
        {
            "task": STEP_LOST,
            "kwargs": kwargs | settings.MESSAGE_KEYS.sign_message("inventory", STEP_LOST, kwargs),
        }
    )


@pytest.mark.parametrize("data", ["text", [1, 2], 5, None], ids=str)
def test_words_without_fields_are_refused(placed: Placed, data: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        announce(placed, "stock_reserved", "done", data)
    assert placed.log["reserve-stock"] == ""


@pytest.mark.parametrize(
    ("kind", "outcome"), [("stock_refused", "refused"), ("step_gave_up", "failed")], ids=["refused", "failed"]
)
@pytest.mark.parametrize(
    "data", [{"code": [1], "reason": "no"}, {"code": "no", "reason": {"a": 1}}, {}], ids=str
)
def test_a_refusal_without_texts_is_refused(placed: Placed, kind: str, outcome: str, data: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        announce(placed, kind, outcome, data)
    assert placed.log["reserve-stock"] == ""


@pytest.mark.parametrize(
    "said",
    [
        {"expires_at": "soon"},
        {"expires_at": 5},
        {"expires_at": "2026-12-01T00:00:00"},
        {"expires_at": "0001-01-01T00:00:00+14:00"},
        {"expires_at": "9999-12-31T23:59:59-14:00"},
        {"amount": "many", "currency": {}},
        {"amount": [1], "currency": "EUR"},
        {"amount": 10**30, "currency": "EUR"},
    ],
    ids=str,
)
def test_a_reply_that_makes_no_sense_breaks_no_page_and_no_end(
    placed: Placed, admin_client: Client, said: dict[str, Any]
) -> None:
    announce(placed, "stock_reserved", "done", {**REPLIES["reserve-stock"], **said})
    assert placed.log["reserve-stock"] == "done"
    lose(placed)
    assert placed.saga.status == "parked"
    assert placed.saga.answer_by is not None
    assert read_ends_of_holds(SAGAS, [placed.saga]) == {}
    for page in (
        "/admin/",
        "/admin/saga/sagainstance/",
        f"/admin/saga/sagainstance/{placed.saga_id}/change/",
        f"/api/sagas/{placed.saga_id}/history/",
        f"/api/sagas/{placed.saga_id}/effects/",
        f"/api/sagas/{placed.saga_id}/compensate/",
    ):
        assert admin_client.get(page).status_code == 200, page


def test_a_refusal_names_no_step_of_another(placed: Placed) -> None:
    said = {"code": "no", "reason": "no", "step": "authorize-payment"}
    announce(placed, "stock_refused", "refused", said)
    kwargs = {"saga": str(placed.saga_id), "step": "reserve-stock", "operation": "do", "attempt": 0}
    run({"task": "order.step_failed", "kwargs": kwargs})
    assert placed.saga.cause["step"] == "reserve-stock"


def test_the_tracking_number_is_the_carriers(placed: Placed) -> None:
    said = {**REPLIES, "authorize-payment": {**REPLIES["authorize-payment"], "tracking_number": "FALSE"}}
    run(list_links(placed.messages[-1])[-1], say(placed, "done", said))
    assert placed.order.tracking_number == "SB-1"


def test_a_service_learns_only_what_the_right_ones_said(placed: Placed) -> None:
    announce(placed, "stock_reserved", "done", {**REPLIES["reserve-stock"], "payment": str(uuid4())})
    placed.saga.steps.filter(name="authorize-payment").update(logged="done", reply={})
    told = describe(SAGAS, placed.saga, "payment")
    assert told is not None
    assert all("payment" not in step["fields"] for step in told["steps"])


def test_an_end_with_words_that_cannot_be_read_is_no_end(placed: Placed) -> None:
    strange: Any = ["text"]
    with override_settings(MESSAGE_KEYS=replace(settings.MESSAGE_KEYS, mode=Mode.REQUIRE)):
        said = say(placed, "done", {**REPLIES, "reserve-stock": strange})
        with pytest.raises(Reject):
            run(list_links(placed.messages[-1])[-1], said)
    assert placed.saga.status == "running"


def test_an_order_that_is_refused_with_a_long_code_ends(placed: Placed) -> None:
    announce(placed, "stock_refused", "refused", {"code": "c" * 3000, "reason": "no"})
    kwargs = {"saga": str(placed.saga_id), "step": "reserve-stock", "operation": "do", "attempt": 0}
    run({"task": "order.step_failed", "kwargs": kwargs})
    run(list_links(placed.messages[-1])[-1], {})
    assert placed.order.status == "cancelled"
    assert placed.order.cancel_code == "c" * 64
