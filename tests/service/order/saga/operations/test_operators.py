"""What operators may do: each verb can be looked at first, says who and why, and is refused when it does not fit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models import JSONField, Value
from django.test import Client
from django.utils import timezone

from celery_config.errors import OperatorRefused, SagaPaused
from celery_config.messaging.states import Action, Undo
from celery_config.saga.course import Answer, Held
from celery_config.saga.engine import refusals, runner
from celery_config.saga.engine.machine import StepFailed, WatchdogFired
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.models import OperatorAction, SagaInstance
from celery_config.saga.operations import barrier_client, operators, pauses, previews, selectors
from celery_config.saga.operations.explanation import explain
from celery_config.saga.operations.flow_reader import read_flow
from tests.service.order.conftest import REPLIES, Placed, Shop
from tests.service.order.saga.engine.test_runner import DRIVE, STOP

pytestmark = pytest.mark.django_db
EXPIRES = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
AUTHORIZED = {**REPLIES["authorize-payment"], "expires_at": EXPIRES.isoformat()}


@pytest.fixture
def barrier(monkeypatch: pytest.MonkeyPatch) -> dict[str, Answer]:
    """What the participants answer: nothing came to any of them, unless a test says more."""
    told: dict[str, Answer] = {"payment": {}, "inventory": {}, "shipment": {}}
    monkeypatch.setattr(barrier_client, "read_barrier", lambda service, saga: told[service])
    return told


def held(action: Action, undo: Undo = Undo.NONE, **reply: Any) -> Held:
    return Held(action, undo, reply or None)


def park(placed: Placed, *, reason: str = "void: no such hold auth_0123456789abcdef") -> None:
    """As after a day of undos that failed."""
    runner.handle_trigger(placed.saga_id, StepFailed("reserve-stock", "do"))
    refusals.record_failure(placed.saga_id, "authorize-payment", "undo", {"code": "error", "reason": reason})
    placed.set(since=timezone.now() - timedelta(days=3))
    assert runner.handle_trigger(placed.saga_id, WatchdogFired()) == "parked"


class TestParked:
    def test_it_has_an_owner_a_due_time_and_a_fingerprint(self, placed: Placed, settings: Any) -> None:
        """Rule 25."""
        settings.PARKED_OWNER, settings.PARKED_ANSWER_HOURS = "night-shift", 2
        park(placed)
        saga = placed.saga
        assert (saga.owner, saga.due_at) == ("night-shift", None)
        assert saga.answer_by is not None
        assert abs(saga.answer_by - timezone.now() - timedelta(hours=2)) < timedelta(minutes=1)
        assert saga.fingerprint == "payment could not void the payment: void: no such hold #"

    def test_it_is_due_before_a_hold_expires(self, placed: Placed) -> None:
        """Rule 25: after that the money may be gone."""
        soon = timezone.now() + timedelta(minutes=20)
        placed.log_as("done", "authorize-payment")
        placed.saga.steps.filter(name="authorize-payment").update(
            reply={**AUTHORIZED, "expires_at": soon.isoformat()}
        )
        park(placed)
        assert placed.saga.answer_by == soon

    def test_those_with_one_fault_are_one_group(self, shop: Shop) -> None:
        for _ in range(3):
            park(shop.order(), reason=f"void: no such hold {uuid4()} after {uuid4().int} tries")
        park(shop.order(), reason="void: wrong key")
        groups = selectors.read_parked_groups()
        assert [g.count for g in groups] == [3, 1]
        assert groups[0].fingerprint.endswith("no such hold # after # tries")

    def test_what_the_provider_answered_is_in_the_line_and_ids_are_not(self, shop: Shop) -> None:
        for status in (500, 500, 503):
            park(
                shop.order(),
                reason=f'POST /a/{uuid4()}: answered {status}: {{"error": {{"reason": "out of order"}}}}',
            )
        lines = {group.fingerprint: group.count for group in selectors.read_parked_groups()}
        assert lines == {
            "the payment provider answered 500 when asked to void the payment: out of order": 2,
            "the payment provider answered 503 when asked to void the payment: out of order": 1,
        }

    def test_a_line_of_an_older_version_is_shown_and_found(
        self, admin_client: Client, placed: Placed
    ) -> None:
        park(placed)
        old = "place-order: authorize-payment (undo) unknown_outcome: POST /v: answered #:"
        placed.set(fingerprint=old)
        assert [group.fingerprint for group in selectors.read_parked_groups()] == [old]
        html = admin_client.get("/admin/saga/sagainstance/", {"fingerprint": old}).content.decode()
        assert str(placed.saga_id) in html
        assert explain(read_flow(placed.saga)).text.count("void: no such hold #") == 1

    def test_going_on_takes_it_off_the_list(self, placed: Placed, barrier: dict[str, Answer]) -> None:
        park(placed)
        operators.perform(placed.saga, "retry", by="ada", why="provider is back")
        assert (placed.saga.status, placed.saga.owner, placed.saga.answer_by) == ("stopping", "", None)
        assert selectors.read_parked_groups() == []

    def test_each_live_or_doubtful_effect_is_listed(self, placed: Placed, barrier: dict[str, Answer]) -> None:
        """Rule 25: with holder, amount and expiry of the authorization; what is undone is not."""
        park(placed)
        barrier["payment"] = {"authorize-payment": held(Action.DONE, Undo.INTENT, **AUTHORIZED)}
        barrier["inventory"] = {"reserve-stock": held(Action.REFUSED)}
        barrier["shipment"] = None
        hold, booking, dispatch = selectors.read_effects(placed.saga)[0]
        assert (hold.step, hold.holder, hold.doubtful) == ("authorize-payment", "payment", True)
        assert (hold.amount, hold.currency, hold.expires_at) == (1785, "EUR", EXPIRES)
        assert (booking.holder, booking.doubtful) == ("shipment", True)
        assert "does not answer" in booking.because
        assert dispatch.step == "dispatch-shipment"

    def test_an_intent_is_in_doubt_with_what_was_asked(
        self, placed: Placed, barrier: dict[str, Answer]
    ) -> None:
        barrier["payment"] = {"authorize-payment": held(Action.INTENT)}
        (effect,) = selectors.read_effects(placed.saga)[0]
        assert (effect.doubtful, effect.amount, effect.currency) == (True, 1785, "EUR")

    @pytest.mark.parametrize("row", [held(Action.TOMBSTONE), held(Action.DONE, Undo.DONE)])
    def test_what_is_undone_or_never_ran_is_no_effect(
        self, placed: Placed, barrier: dict[str, Answer], row: Held
    ) -> None:
        barrier["payment"] = {"authorize-payment": row}
        assert selectors.read_effects(placed.saga)[0] == []


class TestVerbs:
    def test_a_preview_tells_and_changes_nothing(self, placed: Placed, barrier: dict[str, Answer]) -> None:
        barrier["inventory"] = {"reserve-stock": held(Action.DONE)}
        told = previews.preview(placed.saga, "compensate")
        assert (told.refused, told.before, told.after) == ("", "running", "stopping")
        assert told.sends == [
            "fence capture-payment", "undo book-shipment", "undo reserve-stock", "undo authorize-payment",
            "compensated",
        ]  # fmt: skip
        assert [e.step for e in told.effects] == ["reserve-stock"]
        assert (placed.saga.status, placed.chains) == ("running", [DRIVE])

    def test_a_preview_warns_of_a_service_that_must_be_recovered_first(
        self, placed: Placed, barrier: dict[str, Answer]
    ) -> None:
        placed.log_as("done", "authorize-payment", "reserve-stock")
        barrier["payment"], barrier["inventory"] = None, {}
        told = previews.preview(placed.saga, "compensate")
        assert told.warning.startswith("inventory: the database was set back")
        assert "run ./manage.py inventory recover first" in told.warning
        barrier["inventory"] = {"reserve-stock": held(Action.DONE)}
        assert previews.preview(placed.saga, "compensate").warning == ""

    def test_compensate_now(self, placed: Placed, barrier: dict[str, Answer]) -> None:
        done = operators.perform(placed.saga, "compensate", by="ada", why="customer called")
        assert placed.chains == [DRIVE, STOP]
        assert (done.by, done.why, done.verb) == ("ada", "customer called", "compensate")
        assert done.effect.startswith("running to stopping; sent: fence capture-payment")
        assert placed.saga.cause["code"] == "cancelled"

    def test_retry_now_drives_without_waiting(self, placed: Placed, barrier: dict[str, Answer]) -> None:
        placed.log_as("done", "authorize-payment")
        operators.perform(placed.saga, "retry", by="ada", why="impatient")
        assert placed.chains == [DRIVE, DRIVE[1:]]

    def test_a_humans_retry_of_a_parked_saga_is_a_stop(
        self, placed: Placed, barrier: dict[str, Answer]
    ) -> None:
        """Rule 25: fence included."""
        park(placed)
        operators.perform(placed.saga, "retry", by="ada", why="provider is back")
        assert placed.chains[-1] == STOP

    def test_resume_is_refused_while_nobody_knows_that_the_pivot_ran(
        self, placed: Placed, barrier: dict[str, Answer]
    ) -> None:
        park(placed)
        barrier["payment"] = {"capture-payment": held(Action.INTENT)}
        assert "past its point of no return" in previews.preview(placed.saga, "resume").refused
        with pytest.raises(OperatorRefused, match="past its point of no return"):
            operators.perform(placed.saga, "resume", by="ada", why="I think it ran")
        assert (placed.saga.status, OperatorAction.objects.count()) == ("parked", 0)

    def test_resume_believes_the_participants_barrier(
        self, placed: Placed, barrier: dict[str, Answer]
    ) -> None:
        """The log is a hint, the barrier the truth: it brings the pivot's reply too."""
        park(placed)
        barrier["payment"] = {"capture-payment": held(Action.DONE, **REPLIES["capture-payment"])}
        assert previews.preview(placed.saga, "resume").after == "forward"
        operators.perform(placed.saga, "resume", by="ada", why="captured, says payment")
        assert (placed.saga.status, placed.log["capture-payment"]) == ("forward", "done")
        assert placed.chains[-1] == DRIVE

    @pytest.mark.parametrize("verb", list(SAGAS.verbs))
    @pytest.mark.parametrize("status", ["completed", "compensated"])
    def test_an_end_is_final(
        self, placed: Placed, barrier: dict[str, Answer], verb: str, status: str
    ) -> None:
        placed.set(status=status, due_at=None)
        with pytest.raises(OperatorRefused, match="ended"):
            operators.perform(placed.saga, verb, by="ada", why="x")
        assert placed.chains == [DRIVE]

    def test_what_is_past_its_pivot_is_not_compensated(
        self, placed: Placed, barrier: dict[str, Answer]
    ) -> None:
        placed.set(status="forward")
        with pytest.raises(OperatorRefused, match="it is only finished"):
            operators.perform(placed.saga, "compensate", by="ada", why="x")

    def test_who_did_it_and_why_is_kept(self, placed: Placed, barrier: dict[str, Answer]) -> None:
        operators.perform(placed.saga, "compensate", by="ada", why="customer called")
        operators.perform(placed.saga, "retry", by="bob", why="too slow")
        kept = OperatorAction.objects.filter(saga=placed.saga_id).order_by("id")
        assert list(kept.values_list("verb", "by", "why")) == [
            ("compensate", "ada", "customer called"),
            ("retry", "bob", "too slow"),
        ]

    @pytest.mark.parametrize("why", ["", "  "])
    def test_nothing_is_done_without_a_reason(self, placed: Placed, why: str) -> None:
        with pytest.raises(OperatorRefused, match="why"):
            operators.perform(placed.saga, "compensate", by="ada", why=why)

    def test_take_over(self, placed: Placed) -> None:
        with pytest.raises(OperatorRefused, match="only what waits for a decision has an owner"):
            operators.take_over(placed.saga, by="ada", why="mine")
        park(placed)
        operators.take_over(placed.saga, by="ada", why="mine")
        assert placed.saga.owner == "ada"


class TestPause:
    @pytest.mark.parametrize("what", [{"saga": "place-order"}, {"step": "reserve-stock"}])
    def test_no_new_saga_starts_and_running_ones_go_on(
        self, shop: Shop, placed: Placed, what: dict[str, str]
    ) -> None:
        pauses.pause(**what, by="ada", why="stock count")
        with pytest.raises(SagaPaused, match="stock count"):
            shop.place()
        assert SagaInstance.objects.count() == 1
        assert runner.handle_trigger(placed.saga_id, StepFailed("book-shipment", "do")) == "stopping"
        pauses.unpause(**what, by="ada", why="counted")
        shop.place()
        assert [a.verb for a in OperatorAction.objects.all()] == ["unpause", "pause"]

    def test_another_kind_is_not_held_up(self, shop: Shop) -> None:
        pauses.pause(saga="refund-order", by="ada", why="x")
        shop.place()

    @pytest.mark.parametrize(
        ("what", "fault"),
        [({"saga": "plcae-order"}, "plcae-order"), ({}, "one of both"), ({"step": "x", "saga": "y"}, "x|y")],
    )
    def test_only_what_exists_can_be_paused(self, db: None, what: dict[str, str], fault: str) -> None:
        with pytest.raises(OperatorRefused, match=fault):
            pauses.pause(**what, by="ada", why="x")

    def test_twice_is_refused(self, db: None) -> None:
        pauses.pause(saga="place-order", by="ada", why="x")
        with pytest.raises(OperatorRefused, match="already"):
            pauses.pause(saga="place-order", by="bob", why="x")


class TestOverHttp:
    @pytest.fixture
    def operator(self, db: None) -> Client:
        client = Client()
        client.force_login(User.objects.create_superuser("ada", password="x"))
        return client

    def post(self, client: Client, path: str, **body: Any) -> Any:
        return client.post(f"/api/sagas/{path}", body, content_type="application/json")

    def test_look_then_do(self, operator: Client, placed: Placed, barrier: dict[str, Answer]) -> None:
        path = f"{placed.saga_id}/compensate/"
        told = operator.get(f"/api/sagas/{path}").json()
        assert told["after"] == "stopping"
        assert told["barriers"] == {"payment": {}, "inventory": {}, "shipment": {}}
        answer = self.post(operator, path, why="customer called")
        assert (answer.status_code, answer.json()["by"]) == (202, "ada")
        assert placed.saga.status == "stopping"

    def test_a_verb_that_does_not_fit_is_409(
        self, operator: Client, placed: Placed, barrier: dict[str, Answer]
    ) -> None:
        answer = self.post(operator, f"{placed.saga_id}/resume/", why="x")
        assert (answer.status_code, answer.json()["code"]) == (409, "operator_refused")

    @pytest.mark.parametrize("data", [[], None, [1], {}])
    def test_one_whose_data_cannot_be_read_shows_what_is_known(
        self, operator: Client, placed: Placed, barrier: dict[str, Answer], data: Any
    ) -> None:
        park(placed)
        placed.set(data=Value(data, JSONField()))
        effects = operator.get(f"/api/sagas/{placed.saga_id}/effects/")
        assert (effects.status_code, effects.json()["fault"].partition(":")[0]) == (
            200,
            "its data cannot be read",
        )
        assert (
            operator.get(f"/api/sagas/{placed.saga_id}/retry/")
            .json()["refused"]
            .startswith("its data cannot")
        )
        answer = self.post(operator, f"{placed.saga_id}/retry/", why="x")
        assert answer.status_code == 409
        assert answer.json()["detail"].startswith("its data cannot be read: ")

    def test_what_is_parked(self, operator: Client, placed: Placed) -> None:
        park(placed)
        (group,) = operator.get("/api/sagas/parked/").json()["groups"]
        assert (group["count"], group["fingerprint"]) == (1, placed.saga.fingerprint)
        (row,) = operator.get("/api/sagas/", {"status": "parked"}).json()["results"]
        assert row["owner"] == "operations"

    def test_paused_orders_are_503(self, operator: Client, shop: Shop) -> None:
        self.post(operator, "pauses/", saga="place-order", why="stock count")
        order = {
            "customer": str(shop.customer.pk), "currency": "EUR", "payment_token": "tok_visa",
            "lines": [{"sku": "85123A", "quantity": 1}],
            "address": {"name": "A", "line1": "1", "city": "L", "postal_code": "S", "country": "GB"},
        }  # fmt: skip
        answer = operator.post("/api/orders/", order, content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (503, "paused")
        assert "stock count" in answer.json()["detail"]
        (held_up,) = operator.get("/api/sagas/pauses/").json()
        assert (held_up["saga"], held_up["step"]) == ("place-order", "")
        ended = {"saga": "place-order", "why": "done"}
        gone = operator.delete("/api/sagas/pauses/", ended, content_type="application/json")
        assert gone.status_code == 200
        assert operator.post("/api/orders/", order, content_type="application/json").status_code == 202

    def test_staff_without_the_right_may_look_but_not_touch(
        self, placed: Placed, barrier: dict[str, Answer]
    ) -> None:
        client = Client()
        bob = User.objects.create_user("bob", password="x", is_staff=True)
        client.force_login(bob)
        assert client.get("/api/sagas/").status_code == 403
        bob.user_permissions.add(Permission.objects.get(codename="view_sagainstance"))
        assert client.get("/api/sagas/").status_code == 200
        answer = self.post(client, f"{placed.saga_id}/compensate/", why="x")
        assert answer.status_code == 403

    def test_no_such_saga(self, operator: Client) -> None:
        assert self.post(operator, f"{UUID(int=9)}/retry/", why="x").status_code == 404
