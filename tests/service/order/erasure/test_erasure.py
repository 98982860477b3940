"""Forgetting a customer: at once here, by a saga elsewhere; the books stay, and nothing late brings anybody back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import Error, transaction
from django.test import Client
from django.urls import reverse
from rest_framework.exceptions import NotFound
from rest_framework.test import APIClient

from celery_config.common.identifiers import uuid7
from celery_config.common.services import PARTICIPANTS
from celery_config.contracts.base import encode
from celery_config.contracts.payment import PaymentRefused
from celery_config.copies.models import FINAL_VERSION, Tombstone
from celery_config.errors import OperatorRefused, SagaPaused
from celery_config.messaging.inbox.subscriptions import deliver
from celery_config.messaging.models import IdempotencyKey, OutboxMessage
from celery_config.messaging.outbox import writing
from celery_config.saga.engine import refusals, runner
from celery_config.saga.engine.machine import StepFailed
from celery_config.saga.models import DeadLetter, SagaInstance, SagaStep
from celery_config.saga.operations import pauses
from celery_config.web.idempotency_keys import KeyGone
from order_project import audit, cancelling, services
from order_project.erasure import requests
from order_project.erasure.data import DATA_MAP
from order_project.errors import OrdersUnderWay, UnknownCustomer
from order_project.models import (
    Choreography,
    Customer,
    Erasure,
    ErasureReceipt,
    Order,
    Refund,
    SeenEvent,
)
from order_project.placing import place_orders
from order_project.requests import OrderSubmission
from tests.service.everything import told
from tests.service.order.conftest import ADDRESS, REPLIES, Placed, Shop
from tests.service.order.other_services import Services
from tests.service.order.saga.dead_letters.test_reader import kept, letter
from tests.service.order.test_choreography import Dancer
from tests.service.together import concurrent, in_background, together, until_waiting_for_a_lock

pytestmark = pytest.mark.django_db
PERSONAL = ("Ada", "ada@", "High St", "SW1", "tok_visa", "ada-account")
AT = "2026-11-23T14:00:00Z"


@pytest.fixture
def confirmed(shop: Shop) -> Placed:
    order = Placed(shop.place("key-1").order)
    order.heard()
    runner.complete_sagas({order.saga_id: runner.ChainEnd(REPLIES)})
    return order


def paid_back(refund: UUID, amount: int) -> runner.ChainEnd:
    return runner.ChainEnd({"refund-payment": {"refund": str(refund), "refunded_amount": amount}})


def ask(shop: Shop) -> Erasure:
    return requests.request_erasure(customer=shop.customer.pk, by="operator", why="a letter")


def sagas(asked: Erasure) -> list[SagaInstance]:
    return list(SagaInstance.objects.filter(subject=str(asked.pk)).order_by("pk"))


def receipt(asked: Erasure, **rows: int) -> dict[str, Any]:
    return {"erasure": str(asked.pk), "rows": [{"table": t, "rows": n} for t, n in rows.items()], "at": AT}


def finish(asked: Erasure) -> Erasure:
    """The other services have forgotten, too."""
    for saga in sagas(asked):
        replies = {
            "forget-payer": receipt(asked, **{"payment.Payment": 2}),
            "forget-buyer": receipt(asked),
            "forget-recipient": receipt(asked, **{"shipment.Shipment": 1}),
        }
        runner.complete_sagas({saga.pk: runner.ChainEnd(replies)})
    return Erasure.objects.get(pk=asked.pk)


class TestWhatIsForgotten:
    def test_the_customer_at_once_and_who_ordered_but_not_what(self, shop: Shop, confirmed: Placed) -> None:
        before = confirmed.order
        assert told(*PERSONAL)
        asked = ask(shop)
        assert told(*PERSONAL) == []
        after = confirmed.order
        kept_fields = ("id", "status", "currency", "total", "weight_grams", "saga", "created_at", "ended_at")
        assert all(getattr(after, name) == getattr(before, name) for name in kept_fields)
        assert (after.customer, after.address["country"]) == (None, "GB")
        assert after.lines.get().quantity == 7
        assert not Customer.objects.exists()
        blank = {"request_hash": "", "made": "", "subject": None}
        assert IdempotencyKey.objects.values(*blank).get() == blank
        rows = asked.receipts.get(service="order").rows
        assert {name: rows[name] for name in ("order.Order", "order.Customer", "saga.SagaInstance")} == {
            "order.Order": 1, "order.Customer": 1, "saga.SagaInstance": 1,
        }  # fmt: skip
        assert list(DATA_MAP.find_residue()) == []

    def test_a_cancelled_order_and_who_cancelled_it(self, shop: Shop, placed: Placed) -> None:
        cancelling.ask_to_cancel(order=placed.order, reason="cancelled by ada-account")
        runner.end_stop_chains({placed.saga_id: runner.StopChainEnd({})})
        assert told("ada-account")
        ask(shop)
        assert told(*PERSONAL) == []
        assert (placed.order.status, placed.order.cancel_code) == ("cancelled", "cancelled")

    @pytest.mark.parametrize("way", ["forward", "back"])
    def test_a_choreographed_order_and_what_was_seen_of_it(self, shop: Shop, way: str) -> None:
        dancer = Dancer(shop)
        dancer.hear(*getattr(dancer, way)())
        ask(shop)
        assert told(*PERSONAL) == []
        assert dancer.row.placed == {}
        assert list(DATA_MAP.find_residue()) == []

    def test_refunds_are_kept_without_their_words(self, shop: Shop, confirmed: Placed) -> None:
        refund = services.request_refund(
            order=confirmed.id, amount=255, reason="Ada was not at home", by="ada"
        )
        runner.complete_sagas({refund.saga: paid_back(refund.id, 255)})
        ask(shop)
        assert told(*PERSONAL) == []
        assert Refund.objects.get().amount == 255

    @pytest.mark.parametrize("outcome", ["paid", "refused"])
    def test_a_refund_that_is_asked_for_afterwards_has_no_words_either(
        self, shop: Shop, confirmed: Placed, outcome: str
    ) -> None:
        ask(shop)
        refund = services.request_refund(
            order=confirmed.id, amount=255, reason="Ada was not at home", by="ada"
        )
        if outcome == "paid":
            runner.complete_sagas({refund.saga: paid_back(refund.id, 255)})
        else:
            data = SimpleNamespace(refund=refund.id)
            services.mark_refunds_refused([(data, {"code": "card_closed", "reason": "Ada has moved"})])
        kept = Refund.objects.get()
        assert (kept.amount, kept.reason, kept.detail, kept.status) == (255, "", "", outcome)
        assert list(DATA_MAP.find_residue()) == []

    def test_the_account_and_what_the_admin_called_it(self, shop: Shop) -> None:
        user = User.objects.create_user("ada-account", "ada@example.com")
        operator = User.objects.create_user("op", is_staff=True)
        Customer.objects.filter(pk=shop.customer.pk).update(user=user)
        for row in (shop.customer, user):
            LogEntry.objects.log_actions(operator.pk, [row], CHANGE, single_object=True, change_message="Ada")
        ask(shop)
        assert told(*PERSONAL) == []
        assert not User.objects.filter(pk=user.pk).exists()
        assert LogEntry.objects.count() == 2

    def test_who_works_here_keeps_the_account(self, shop: Shop) -> None:
        user = User.objects.create_user("cleo", is_staff=True)
        Customer.objects.filter(pk=shop.customer.pk).update(user=user)
        ask(shop)
        assert User.objects.filter(pk=user.pk).exists()
        assert told(*PERSONAL) == []

    def test_nobody_else(self, shop: Shop, confirmed: Placed) -> None:
        bob = Customer.objects.create(name="Bob", email="bob@example.com")
        theirs = Placed(shop.place(customer=bob.pk).order)
        ask(shop)
        assert theirs.order.address == encode(ADDRESS)
        assert theirs.saga.data["payment_token"] == "tok_visa"
        assert Customer.objects.get() == bob

    def test_messages_that_wait_are_not_sent(self, shop: Shop, confirmed: Placed) -> None:
        """Its saga has ended: what it still promises was done, or would be refused."""
        shop.customer.name = "Ada Newname"
        shop.customer.save()
        OutboxMessage.objects.create(
            kind="task", name="payment.authorize_payment", saga=confirmed.saga_id, payload={"kwargs": {}}
        )
        ask(shop)
        assert not OutboxMessage.objects.filter(saga=confirmed.saga_id, kind="task").exists()
        assert told(*PERSONAL) == []


class TestItsSaga:
    def test_it_asks_all_three_and_is_done_with_four_receipts(self, shop: Shop, confirmed: Placed) -> None:
        asked = ask(shop)
        (saga,) = sagas(asked)
        assert (saga.status, asked.status) == ("forward", "under way")
        assert set(saga.data["about"]) == {str(confirmed.id), str(confirmed.saga_id)}
        (chain,) = OutboxMessage.objects.filter(saga=saga.pk).values_list("payload", flat=True)
        links = [chain, *reversed(chain["options"]["chain"])]
        assert [link["task"] for link in links] == [
            "payment.forget_payer", "inventory.forget_buyer", "shipment.forget_recipient", "order.complete",
        ]  # fmt: skip
        done = finish(asked)
        assert done.status == "done"
        assert done.done_at
        rows = {each.service: each.rows for each in done.receipts.all()}
        assert rows["payment"] == {"payment.Payment": 2}
        assert rows["inventory"] == {}
        assert rows["shipment"] == {"shipment.Shipment": 1}
        assert rows["order"]["order.Order"] == 1

    def test_many_orders_are_several_sagas_and_one_erasure(
        self, shop: Shop, confirmed: Placed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(requests, "IDS_A_SAGA", 1)
        asked = ask(shop)
        first, second = sagas(asked)
        assert {*first.data["about"], *second.data["about"]} == {str(confirmed.id), str(confirmed.saga_id)}
        runner.complete_sagas(
            {first.pk: runner.ChainEnd({"forget-payer": receipt(asked, **{"payment.Payment": 1})})}
        )
        assert Erasure.objects.get().status == "under way"
        runner.complete_sagas(
            {second.pk: runner.ChainEnd({"forget-payer": receipt(asked, **{"payment.Payment": 2})})}
        )
        assert Erasure.objects.get().status == "done"
        assert ErasureReceipt.objects.get(service="payment").rows == {"payment.Payment": 3}

    def test_nobody_stops_it(self, shop: Shop, pass_time: Callable[[float], None]) -> None:
        asked = ask(shop)
        (saga,) = sagas(asked)
        assert runner.request_stop(saga.pk, code="cancelled", reason="") == "forward"
        runner.handle_trigger(saga.pk, StepFailed("forget-payer", "do"))
        saga.refresh_from_db()
        assert saga.status == "forward"

    def test_what_came_meanwhile_is_forgotten_at_its_end(self, shop: Shop, confirmed: Placed) -> None:
        asked = ask(shop)
        SagaStep.objects.filter(saga=confirmed.saga_id, name="book-shipment").update(
            failure={"reason": "Ada moved"}
        )
        assert list(DATA_MAP.find_residue())
        finish(asked)
        assert told(*PERSONAL) == []
        assert list(DATA_MAP.find_residue()) == []

    def test_a_repeated_end_counts_once(self, shop: Shop) -> None:
        asked = finish(ask(shop))
        finish(asked)
        assert ErasureReceipt.objects.get(service="payment").rows == {"payment.Payment": 2}


class TestWhoCannotBeForgottenNow:
    def test_who_waits_for_an_order(self, shop: Shop, placed: Placed) -> None:
        with pytest.raises(OrdersUnderWay, match=str(placed.id)):
            ask(shop)
        assert Customer.objects.get() == shop.customer
        assert placed.order.customer == shop.customer

    def test_who_waits_for_money(self, shop: Shop, confirmed: Placed) -> None:
        services.request_refund(order=confirmed.id, amount=255, reason="broken", by="ada")
        with pytest.raises(OrdersUnderWay, match=str(confirmed.id)):
            ask(shop)

    def test_whose_choreographed_order_is_under_way(self, shop: Shop) -> None:
        dancer = Dancer(shop)
        with pytest.raises(OrdersUnderWay, match=str(dancer.id)):
            ask(shop)

    def test_who_never_was(self, shop: Shop) -> None:
        with pytest.raises(NotFound):
            requests.request_erasure(customer=uuid4(), by="operator", why="x")

    def test_nobody_while_erasures_are_held_up(self, shop: Shop) -> None:
        pauses.pause(saga="forget-customer", step="", by="op", why="legal hold")
        with pytest.raises(SagaPaused):
            ask(shop)
        assert Customer.objects.exists()

    def test_nobody_without_a_reason(self, shop: Shop) -> None:
        with pytest.raises(OperatorRefused):
            requests.request_erasure(customer=shop.customer.pk, by="op", why=" ")


class TestWhatComesLate:
    def test_asking_twice_is_asking_once(self, shop: Shop) -> None:
        assert ask(shop) == ask(shop)
        assert Erasure.objects.count() == SagaInstance.objects.count() == 1

    @pytest.mark.django_db(transaction=True)
    def test_an_order_is_refused(self, shop: Shop, confirmed: Placed) -> None:
        ask(shop)
        for key, refusal in (("", UnknownCustomer), ("key-1", KeyGone), ("key-2", UnknownCustomer)):
            (outcome,) = place_orders(client="ada", submissions=[OrderSubmission(shop.request(), key)])
            assert isinstance(outcome, refusal)
        assert told(*PERSONAL) == []

    def test_the_customer_cannot_come_back(self, shop: Shop) -> None:
        shop.customer.save()
        ask(shop)
        with pytest.raises(Error), transaction.atomic():
            shop.customer.save()
        with pytest.raises(Error), transaction.atomic():
            Customer.objects.bulk_create([Customer(id=shop.customer.pk, name="Ada")])
        assert told(*PERSONAL) == []
        assert Tombstone.objects.get(key=str(shop.customer.pk)).version == FINAL_VERSION

    def test_a_change_over_http_finds_nobody(self, shop: Shop, peer: APIClient) -> None:
        ask(shop)
        url = f"/api/customers/{shop.customer.pk}/"
        assert peer.patch(url, {"name": "Ada"}, format="json").status_code == 404

    def test_copies_are_told_to_bury_them_for_ever(self, shop: Shop) -> None:
        ask(shop)
        said = OutboxMessage.objects.filter(name="order.customer_deleted").order_by("id")
        versions = [each["data"]["version"] for each in said.values_list("payload", flat=True)]
        assert versions[-1] == FINAL_VERSION

    def test_events_of_a_choreographed_order_are_heard_no_more(self, shop: Shop) -> None:
        dancer = Dancer(shop)
        back = dancer.back()
        dancer.hear(*back)
        ask(shop)
        seen = SeenEvent.objects.count()
        SeenEvent.objects.filter(kind="payment.payment_released").delete()
        dancer.hear(*back, drive=3)
        assert SeenEvent.objects.count() == seen - 1
        assert list(DATA_MAP.find_residue()) == []

    def test_a_failure_of_an_ended_saga_is_not_written_down(self, shop: Shop, confirmed: Placed) -> None:
        ask(shop)
        refusals.record_failure(confirmed.saga_id, "book-shipment", "do", {"reason": "Ada moved"})
        assert told(*PERSONAL) == []

    def test_a_refusal_that_is_heard_of_late_has_no_words(self, shop: Shop, placed: Placed) -> None:
        """The provider names the token that it does not know."""
        cancelling.ask_to_cancel(order=placed.order, reason="")
        runner.end_stop_chains({placed.saga_id: runner.StopChainEnd({})})
        ask(shop)
        refusal = PaymentRefused(code="invalid_token", reason="no such card token: tok_visa")
        about: dict[str, Any] = {
            "step": "authorize-payment",
            "operation": "do",
            "outcome": "refused",
        }
        deliver([writing.cloud_event(refusal, subject=str(placed.id), saga=placed.saga_id, **about)])
        assert placed.log["authorize-payment"] == "refused"
        assert told(*PERSONAL) == []
        assert list(DATA_MAP.find_residue()) == []

    @pytest.mark.parametrize("about", ["saga", "customer"])
    def test_of_a_dead_letter_only_that_it_came_is_kept(
        self, shop: Shop, confirmed: Placed, about: str
    ) -> None:
        ask(shop)
        told_of = {"saga": str(confirmed.saga_id)} if about == "saga" else {"subject": str(shop.customer.pk)}
        kept(letter("payment.authorize_payment", {**told_of, "data": {"name": "Ada"}}))
        assert told(*PERSONAL) == []
        assert DeadLetter.objects.get().task == "payment.authorize_payment"
        kept(letter("payment.authorize_payment", {"saga": str(uuid7()), "data": {"name": "Bob"}}))
        assert "Bob" in DeadLetter.objects.latest("id").body
        assert list(DATA_MAP.find_residue()) == []

    def test_a_dead_letter_of_before_goes(self, shop: Shop, confirmed: Placed) -> None:
        for about in ({"saga": str(confirmed.saga_id)}, {"subject": str(shop.customer.pk)}):
            kept(letter("x", {**about, "data": {"name": "Ada"}}))
        assert len(told("Ada")) > 2
        asked = ask(shop)
        assert told(*PERSONAL) == []
        assert asked.receipts.get().rows["saga.DeadLetter"] == 2


@concurrent
class TestAtTheSameMoment:
    def test_twins_find_one_erasure(self, shop: Shop) -> None:
        asked = together(*[functools.partial(ask, shop)] * 4)
        assert len({each.pk for each in asked}) == 1
        assert Erasure.objects.count() == 1

    def test_an_order_comes_first_or_too_late(self, shop: Shop) -> None:
        for n in range(12):
            customer = Customer.objects.create(name="Ada")
            key = "" if n % 2 else f"key-{n}"
            asked = OrderSubmission(shop.request(customer=customer.pk), key)
            outcome, result = together(
                lambda asked=asked: place_orders(client="ada", submissions=[asked])[0],
                lambda pk=customer.pk: requests.request_erasure(customer=pk, by="op", why="x"),
            )
            placed = Order.objects.filter(pk=asked.id).exists()
            assert placed == isinstance(result, OrdersUnderWay), result
            assert placed != isinstance(outcome, UnknownCustomer), outcome

    def test_an_order_whose_statement_ran_before_is_refused_at_its_commit(self, shop: Shop) -> None:
        """Its customer is looked at again when it commits."""
        with transaction.atomic():
            ask(shop)
            placing = in_background(
                lambda: place_orders(client="ada", submissions=[OrderSubmission(shop.request(), "")])
            )
            # Of its own, since a transaction sees the activity of others as it saw it first.
            in_background(until_waiting_for_a_lock).result(20)
        (outcome,) = placing.result(20)
        assert isinstance(outcome, UnknownCustomer)
        assert not Order.objects.exists()

    @pytest.mark.parametrize(
        "at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "soon", 5], ids=str
    )
    def test_a_receipt_with_a_time_that_is_none_breaks_no_list(
        self, shop: Shop, confirmed: Placed, peer: APIClient, at: Any
    ) -> None:
        asked = ask(shop)
        (saga,) = sagas(asked)
        strange = {
            step: {**receipt(asked), "at": at}
            for step in ("forget-payer", "forget-buyer", "forget-recipient")
        }
        runner.complete_sagas({saga.pk: runner.ChainEnd(strange)})
        assert peer.get("/api/erasures/").data["results"][0]["status"] == "done"


class TestOverHttp:
    def test_it_is_accepted_and_shows_the_receipts(self, shop: Shop, peer: APIClient) -> None:
        url = f"/api/customers/{shop.customer.pk}/forget/"
        answer = peer.post(url, {"why": "a letter"}, format="json")
        assert (answer.status_code, answer.data["status"]) == (202, "under way")
        assert answer["Location"] == answer.data["url"]
        assert peer.post(url, {"why": "again"}, format="json").data["id"] == answer.data["id"]
        finish(Erasure.objects.get())
        shown = peer.get(answer.data["url"]).data
        assert (shown["status"], shown["why"]) == ("done", "a letter")
        assert sorted(each["service"] for each in shown["receipts"]) == [
            "inventory",
            "order",
            "payment",
            "shipment",
        ]
        listed = peer.get("/api/erasures/", {"customer": str(shop.customer.pk)}).data["results"]
        assert [each["id"] for each in listed] == [shown["id"]]

    def test_orders_under_way_are_named(self, shop: Shop, placed: Placed, peer: APIClient) -> None:
        answer = peer.post(f"/api/customers/{shop.customer.pk}/forget/", {"why": "x"}, format="json")
        assert (answer.status_code, answer.data["code"]) == (409, "orders_under_way")
        assert str(placed.id) in answer.data["detail"]

    def test_it_is_for_those_who_may(self, shop: Shop, stranger: APIClient) -> None:
        url = f"/api/customers/{shop.customer.pk}/forget/"
        assert stranger.post(url, {"why": "x"}, format="json").status_code == 401
        stranger.force_authenticate(User.objects.create_user("staff", is_staff=True))
        assert stranger.post(url, {"why": "x"}, format="json").status_code == 403
        assert Customer.objects.exists()

    def test_an_order_shows_no_customer(self, shop: Shop, confirmed: Placed, peer: APIClient) -> None:
        ask(shop)
        assert peer.get(f"/api/orders/{confirmed.id}/").data["customer"] is None


class TestInTheAdmin:
    def test_it_asks_why_and_leads_to_the_receipts(self, shop: Shop, admin_client: Client) -> None:
        url = reverse("admin:order_customer_forget", args=[shop.customer.pk])
        assert "nothing brings them back" in admin_client.get(url).content.decode()
        assert Customer.objects.exists()
        shown = admin_client.post(url, {"why": "a letter"}, follow=True).content.decode()
        assert "order.Customer" in shown
        assert not Customer.objects.exists()
        saga = admin_client.get(
            reverse("admin:saga_sagainstance_change", args=[sagas(Erasure.objects.get())[0].pk])
        )
        assert reverse("admin:order_erasure_change", args=[Erasure.objects.get().pk]) in saga.content.decode()

    def test_orders_under_way_are_named(self, shop: Shop, placed: Placed, admin_client: Client) -> None:
        url = reverse("admin:order_customer_forget", args=[shop.customer.pk])
        assert str(placed.id) in admin_client.post(url, {"why": "x"}, follow=True).content.decode()
        assert Customer.objects.exists()

    def test_erasures_are_listed_in_any_order(self, shop: Shop, admin_client: Client) -> None:
        ask(shop)
        for column in "123456":
            page = admin_client.get(reverse("admin:order_erasure_changelist"), {"o": column})
            assert "under way" in page.content.decode()

    def test_orders_of_nobody_are_shown(self, shop: Shop, confirmed: Placed, admin_client: Client) -> None:
        ask(shop)
        for name, args in (("changelist", []), ("change", [confirmed.id])):
            assert admin_client.get(reverse(f"admin:order_order_{name}", args=args)).status_code == 200


class TestLeftovers:
    """One in each kind of table; the other services' are in their own tests."""

    @pytest.fixture
    def ids(self, shop: Shop, confirmed: Placed) -> tuple[UUID, Placed]:
        finish(ask(shop))
        assert list(DATA_MAP.find_residue()) == []
        return shop.customer.pk, confirmed

    @pytest.mark.parametrize(
        ("name", "plant"),
        [
            ("order.Order", lambda _, order: Order.objects.update(address={"city": "London"})),
            ("saga.SagaInstance", lambda _, order: order.set(data={"payment_token": "tok"})),
            ("saga.SagaStep", lambda _, order: order.saga.steps.update(reply={"name": "Ada"})),
            (
                "order.Choreography",
                lambda _, order: Choreography.objects.create(
                    order_id=order.id, placed={"name": "Ada"}, status="completed",
                    deadline_at="2026-01-01T00:00Z", since="2026-01-01T00:00Z",
                ),
            ),
            (
                "messaging.IdempotencyKey",
                lambda _, order: IdempotencyKey.objects.create(
                    digest="d", status=202, made=str(order.id), subject=order.id
                ),
            ),
            (
                "admin.LogEntry",
                lambda customer, _: LogEntry.objects.create(
                    user=User.objects.create_user("op"), object_id=str(customer), object_repr="Ada", action_flag=2
                ),
            ),
            (
                "messaging.OutboxMessage",
                lambda customer, _: OutboxMessage.objects.create(
                    kind="event", name="order.customer_changed", payload={"subject": str(customer), "data": {}}
                ),
            ),
            (
                "dead letter",
                lambda customer, _: DeadLetter.objects.create(
                    reason="r", queue="q", consequence="", body=f'{{"customer": "{customer}"}}'
                ),
            ),
        ],
        ids=lambda each: each if isinstance(each, str) else "",
    )  # fmt: skip
    def test_each_is_found(self, ids: tuple[UUID, Placed], name: str, plant: Callable[..., Any]) -> None:
        plant(*ids)
        (found,) = DATA_MAP.find_residue()
        assert name in found
        assert "personal data of an erased customer" in found
        call_command("forget_again")
        assert list(DATA_MAP.find_residue()) == []

    def test_the_audit_tells_those_of_all_four_services(
        self, others: Services, ids: tuple[UUID, Placed]
    ) -> None:
        others.carried_out(ids[1])
        assert audit.run(lambda _: None) == (1, [])
        for service in PARTICIPANTS:
            others.faults[service] = [f"1 rows of {service}.X hold personal data of an erased customer: 1"]
        Order.objects.update(address={"city": "London"})
        _, findings = audit.run(lambda _: None)
        assert sorted(finding.what.partition(":")[0] for finding in findings) == [
            "inventory", "order", "payment", "shipment",
        ]  # fmt: skip
