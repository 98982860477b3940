"""The history of a step's tries: appended once by the event's id, shown on pages, in the API and in the case file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import current_app
from celery.app.task import Context
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from celery_config.common.identifiers import uuid7
from celery_config.contracts.base import StepTried
from celery_config.contracts.payment import AuthorizePayment
from celery_config.erasure import tombstones
from celery_config.errors import OutcomeUnknown, ServiceUnavailable
from celery_config.messaging.deliveries import TriedLater
from celery_config.messaging.inbox.subscriptions import deliver
from celery_config.messaging.outbox.writing import cloud_event
from celery_config.saga.duties import delete_old_log
from celery_config.saga.engine import rest_steps, step_tries
from celery_config.saga.engine.chains import CALL
from celery_config.saga.models import SagaInstance, StepTry
from order_project.case_file import make_case_file
from order_project.domain import Flow
from order_project.erasure.data import DATA_MAP
from order_project.models import Choreography
from tests.service.order.conftest import Placed, Shop

pytestmark = pytest.mark.django_db
Call = Callable[..., Any]
STEP = "authorize-payment"
ANSWERED = "the payment provider answered 500 when asked to authorize the payment: out of order"


def tell(
    flow: UUID,
    number: int,
    next_in: float | None = 30,
    *,
    step: str = STEP,
    event: UUID | None = None,
    service: str = "payment",
) -> None:
    """As a participant's event does."""
    next_at = None if next_in is None else timezone.now() + timedelta(seconds=next_in)
    tried = StepTried(
        step=step, operation="do", number=number, code="unknown_outcome", next_at=next_at,
        reason='POST /v1: answered 500: {"error": {"reason": "out of order"}}',
    )  # fmt: skip
    deliver(
        [cloud_event(tried, subject="x", saga=flow, event_id=event or uuid4()) | {"source": f"/{service}"}]
    )


def test_a_try_is_kept_once_and_never_changed(placed: Placed) -> None:
    event = uuid4()
    for number in (1, 7):
        tell(placed.saga_id, number, event=event)
    tell(placed.saga_id, 2)
    assert list(StepTry.objects.order_by("id").values_list("number", flat=True)) == [1, 2]
    assert placed.saga.status == "running"


def test_one_service_keeps_no_place_of_another(placed: Placed) -> None:
    """The ids of events can be computed: what payment will tell must not be kept already as shipment's."""
    event = uuid4()
    tell(placed.saga_id, 1, event=event, step="book-shipment", service="shipment")
    tell(placed.saga_id, 1, event=event)
    assert {*StepTry.objects.values_list("step", flat=True)} == {"book-shipment", STEP}


def test_a_flow_has_a_bounded_history(placed: Placed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pages read all of it, and a service may announce tries of its own step without end."""
    monkeypatch.setattr(step_tries, "MOST_KEPT", 3)
    for number in range(5):
        tell(placed.saga_id, number)
    assert StepTry.objects.count() == 3


def test_one_of_another_services_step_is_passed_over(placed: Placed) -> None:
    tell(placed.saga_id, 1, service="shipment")
    assert not StepTry.objects.exists()


def test_one_of_an_unknown_saga_is_passed_over() -> None:
    tell(uuid4(), 1)
    assert not StepTry.objects.exists()


def test_one_that_comes_after_the_end_harms_nothing(admin_client: Client, placed: Placed) -> None:
    placed.log_as("done", STEP)
    placed.set(status="completed", due_at=None)
    tell(placed.saga_id, 1)
    tell(placed.saga_id, 1, step="a step of another version")
    assert placed.log[STEP] == "done"
    page = admin_client.get(reverse("admin:saga_sagainstance_story", args=[placed.saga_id])).content.decode()
    assert "strip-tries" not in page
    assert f"{ANSWERED} (first try, next in " in page


def test_the_story_says_which_try_it_is_why_and_when_the_next_one_is(
    admin_client: Client, peer: APIClient, placed: Placed
) -> None:
    for number in (1, 2, 3):
        tell(placed.saga_id, number)
    page = admin_client.get(reverse("admin:saga_sagainstance_story", args=[placed.saga_id])).content.decode()
    assert 'class="strip-tries">third try, next <time class="ago"' in page
    picture, _, legend = page.partition("timeline-legend")
    assert picture.count('mark-tried"') == 3
    assert "a try failed, and is repeated" in legend
    for number in ("first", "second", "third"):
        assert f"{ANSWERED} ({number} try, next in " in page
    told = peer.get(f"/api/sagas/{placed.saga_id}/history/").json()
    first = told["steps"][0]
    assert (first["state"], first["tries"], first["reason"]) == ("calling now", "third try", ANSWERED)
    assert first["next_at"] is not None
    assert [each["lane"] for each in told["happened"] if each["kind"] == "tried"] == ["payment"] * 3
    assert told["sentence"].startswith(f"On its way: {ANSWERED}; third try, next at ")
    case = make_case_file(placed.order, ask=False)
    assert case["steps"][0]["state"].startswith("calling now (third try, next in ")
    assert [each["number"] for each in case["tries"]] == [1, 2, 3]


def test_a_choreographed_order_has_the_same(admin_client: Client, peer: APIClient, shop: Shop) -> None:
    order = shop.place(flow=Flow.CHOREOGRAPHED).order
    tell(order, 2, step=AuthorizePayment.wire_name())
    told = peer.get(f"/api/orders/{order}/history/").json()
    assert (told["steps"][0]["tries"], told["steps"][0]["reason"]) == ("second try", ANSWERED)
    assert f"{ANSWERED} (second try" in told["happened"][-1]["text"]
    assert Choreography.objects.get(pk=order).failure == {}


def test_the_history_of_an_orchestrated_order_is_that_of_its_saga(peer: APIClient, placed: Placed) -> None:
    tell(placed.saga_id, 2)
    told = peer.get(f"/api/orders/{placed.id}/history/").json()
    assert told == peer.get(f"/api/sagas/{placed.saga_id}/history/").json()
    assert told["steps"][0]["tries"] == "second try"
    assert peer.get(f"/api/orders/{uuid4()}/history/").status_code == 404
    SagaInstance.objects.filter(pk=placed.saga_id).delete()
    gone = peer.get(f"/api/orders/{placed.id}/history/")
    assert (gone.status_code, "is deleted" in gone.json()["detail"]) == (404, True)


def test_a_step_that_is_given_up_is_told_once(peer: APIClient, placed: Placed) -> None:
    tell(placed.saga_id, 5, None)
    step = placed.saga.steps.get(name=STEP)
    step.failure = {
        "operation": "do", "code": "unknown_outcome", "reason": "x", "times": 5, "at": timezone.now().isoformat(),
    }  # fmt: skip
    step.save()
    told = peer.get(f"/api/sagas/{placed.saga_id}/history/").json()
    (failed,) = (each["text"] for each in told["happened"] if each["kind"] == "failed")
    assert failed == f"{ANSWERED} (fifth try, given up until it is sent again)"


def test_of_an_erased_customer_no_words_stay_or_come_late(placed: Placed) -> None:
    tell(placed.saga_id, 1)
    DATA_MAP.erase(uuid4(), [placed.id, placed.saga_id])
    assert placed.saga_id in tombstones.erased_among({placed.saga_id})
    tell(placed.saga_id, 2)
    assert set(StepTry.objects.values_list("reason", flat=True)) == {""}
    assert not [line for line in DATA_MAP.find_residue() if "StepTry" in line]


def test_those_of_flows_that_ended_long_ago_go(placed: Placed) -> None:
    long_ago = timezone.now() - timedelta(days=91)
    old, parked = uuid7(long_ago), uuid7(long_ago)
    rows: Any = placed.saga
    for id, status in ((old, "completed"), (parked, "parked")):
        rows.pk, rows.status, rows.due_at = id, status, None
        rows.save(force_insert=True)
    for flow in (old, parked, placed.saga_id):
        tell(flow, 1, step=AuthorizePayment.wire_name())
    StepTry.objects.update(at=long_ago)
    while delete_old_log(batch=1):
        pass
    assert set(StepTry.objects.values_list("flow", flat=True)) == {parked, placed.saga_id}


class TestOverRest:
    """Our own worker makes the call, and writes its failed tries itself."""

    @pytest.fixture
    def call(self, placed: Placed, monkeypatch: pytest.MonkeyPatch) -> Call:
        def call(error: Exception, *, retries: int, attempt: int = 0) -> Any:
            class Away:
                def ask(self, *_: Any, **__: Any) -> Any:
                    raise error

            monkeypatch.setattr(rest_steps, "participant", lambda service: Away())
            kwargs = {
                "saga": str(placed.saga_id), "step": STEP, "operation": "do", "attempt": attempt,
                "task": AuthorizePayment.wire_name(), "message": {},
            }  # fmt: skip
            request = Context(args=[{}], kwargs=kwargs, headers={}, retries=retries, id=str(uuid4()))
            task = current_app.tasks[CALL]
            ((delivery, asked),) = task.carry_out([request])
            ((_, outcome),) = task.finish_calls([(delivery, asked, asked.answer())])
            return outcome

        return call

    def test_each_try_is_kept_and_the_same_one_once(self, placed: Placed, call: Call) -> None:
        broken = OutcomeUnknown("POST /api/commands/: answered 500")
        for retries in (0, 0, 1):
            assert isinstance(call(broken, retries=retries), TriedLater)
        assert isinstance(call(broken, retries=0, attempt=1), TriedLater)
        tries = StepTry.objects.filter(flow=placed.saga_id, step=STEP).order_by("id")
        assert [(each.number, each.code) for each in tries] == [
            (1, "unknown_outcome"), (2, "unknown_outcome"), (1, "unknown_outcome"),
        ]  # fmt: skip
        assert all(each.next_at is not None and each.next_at > each.at for each in tries)

    def test_the_wait_for_one_that_is_away_is_none(self, call: Call) -> None:
        assert isinstance(call(ServiceUnavailable("the service is away"), retries=0), TriedLater)
        assert not StepTry.objects.exists()

    def test_the_last_one_says_that_no_other_follows(self, placed: Placed, call: Call) -> None:
        error = OutcomeUnknown("POST /api/commands/: answered 500")
        retries = 0
        while isinstance(outcome := call(error, retries=retries), TriedLater):
            retries += 1
        assert outcome is error
        last = StepTry.objects.filter(flow=placed.saga_id).order_by("id").last()
        assert last is not None
        assert (last.number, last.next_at) == (retries + 1, None)
        assert placed.saga.steps.get(name=STEP).failure["times"] == retries + 1
