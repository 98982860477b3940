"""Payment forgets a person: token, name and addresses go, the books stay, and nothing late brings them back."""

from __future__ import annotations

import functools
from collections.abc import Collection
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from celery_config.common.identifiers import uuid7
from celery_config.contracts.base import encode
from celery_config.contracts.order import CustomerChanged, CustomerDeleted, OrderPlaced
from celery_config.contracts.payment import ForgetPayer
from celery_config.contracts.values import Address, Line
from celery_config.copies.models import FINAL_VERSION
from celery_config.copies.ranges import RowVersion
from celery_config.copies.readers import CopyReader
from celery_config.copies.registry import copies
from celery_config.copies.store import replace_rows
from celery_config.erasure.locations import DataLocation
from celery_config.erasure.models import Forgotten
from celery_config.messaging.inbox.subscriptions import deliver
from celery_config.messaging.models import BarrierRow, OutboxMessage
from celery_config.messaging.outbox import writing
from payment_app import selectors
from payment_app.erasure import DATA_MAP
from payment_app.models import BillingCustomer, LedgerTransaction, Payment
from tests.service.conftest import Participant
from tests.service.everything import counts, told
from tests.service.payment.shop import Shop
from tests.service.together import LONGEST_WAIT, concurrent, in_background, together

ADDRESS = Address(name="Zelda Quill", line1="7 Gorse Lane", city="Ayr", postal_code="KA7", country="GB")
PERSONAL = ("Zelda", "zelda@example.com", "Gorse", "tok_approved")


def changed(customer: UUID, version: int) -> CustomerChanged:
    return CustomerChanged(
        customer=customer, name="Zelda Quill", email="zelda@example.com", currency="GBP", billing_address=ADDRESS,
        delivery_address=ADDRESS, version=version,
    )  # fmt: skip


def hear(*events: CustomerChanged | CustomerDeleted) -> None:
    deliver([writing.cloud_event(each, subject=str(each.customer)) for each in events])


def forget(shop: Shop, *about: UUID) -> ForgetPayer:
    return ForgetPayer(erasure=uuid4(), customer=shop.customer, about=(shop.order, shop.saga, *about))


def kept(shop: Shop) -> BillingCustomer | None:
    return BillingCustomer.everything.filter(pk=shop.customer).first()


def faults() -> list[str]:
    found: list[str] = selectors.totals()["faults"]
    return found


def choreographed(shop: Shop) -> OrderPlaced:
    return OrderPlaced(
        order=shop.order, customer=shop.customer, amount=1999, currency="GBP", payment_token="tok_approved",
        lines=(Line(sku="TEA", quantity=2),), address=ADDRESS, weight_grams=560, parcels=1,
    )  # fmt: skip


class TestWhatIsForgotten:
    def test_who_paid_and_with_what_but_not_that_it_was_paid(
        self, shop: Shop, participant: Participant
    ) -> None:
        hear(changed(shop.customer, 1))
        shop.paid()
        booked = list(LedgerTransaction.objects.values_list("id", "booking", "order"))
        facts = selectors.facts([shop.order])
        assert told(*PERSONAL)
        reply = participant.do(forget(shop))
        assert told(*PERSONAL) == []
        assert counts(reply) == {
            "payment.BillingCustomer": 1,
            "payment.Payment": 1,
            "messaging.BarrierRow": 1,  # that of the capture has no word of them
            "messaging.OutboxMessage": 0,
            "messaging.IdempotencyKey": 0,
        }
        assert shop.payment().customer is None
        assert selectors.facts([shop.order]) == facts
        assert list(LedgerTransaction.objects.values_list("id", "booking", "order")) == booked
        assert faults() == []

    def test_who_ordered_with_no_saga(self, shop: Shop, participant: Participant) -> None:
        shop.order = shop.saga = uuid7()
        participant.hear(choreographed(shop))
        assert told("Gorse", "tok_approved")
        participant.do(forget(shop))
        assert told(*PERSONAL) == []
        assert faults() == []

    def test_who_is_not_known_here(self, shop: Shop, participant: Participant) -> None:
        reply = participant.do(forget(shop))
        assert not any(counts(reply).values())
        row = kept(shop)
        assert row
        assert (row.deleted, row.version) == (True, FINAL_VERSION)

    def test_nobody_else(self, shop: Shop, participant: Participant) -> None:
        other = uuid4()
        hear(changed(other, 1))
        shop.paid()
        shop.order, shop.saga = uuid4(), uuid4()
        participant.do(forget(shop))
        assert BillingCustomer.objects.get(pk=other).email == "zelda@example.com"
        assert Payment.objects.get().customer == shop.customer


class TestWhatComesLate:
    @pytest.fixture(autouse=True)
    def forgotten(self, shop: Shop, participant: Participant) -> None:
        hear(changed(shop.customer, 1))
        shop.paid()
        participant.do(forget(shop))

    @pytest.mark.parametrize("version", [1, 2, 3, 1000])
    def test_an_event_of_any_version_changes_nothing(self, shop: Shop, version: int) -> None:
        hear(changed(shop.customer, version), CustomerDeleted(customer=shop.customer, version=version + 1))
        assert told(*PERSONAL) == []
        assert not OutboxMessage.objects.filter(name="copies.resync").exists()
        assert faults() == []

    def test_a_rebuild_puts_the_sources_tombstone_there(self, shop: Shop) -> None:
        copy, key = copies["billing_customer"], str(shop.customer)
        ours = CopyReader(copy).read_keys([key])[key]
        replace_rows(copy, [(ours, RowVersion(key, FINAL_VERSION, timezone.now(), None))])
        row = kept(shop)
        assert row
        assert (row.deleted, row.version) == (True, FINAL_VERSION)

    def test_a_repair_from_an_older_source_writes_nothing(self, shop: Shop) -> None:
        copy, key = copies["billing_customer"], str(shop.customer)
        values = tuple(encode(getattr(changed(shop.customer, 2), name)) for name in copy.fields)
        replace_rows(copy, [(None, RowVersion(key, 2, timezone.now(), values))])
        assert told(*PERSONAL) == []

    def test_a_repeated_command_is_answered_and_writes_nothing(self, shop: Shop) -> None:
        assert shop.authorize()["payment"] == str(shop.payment().id)
        assert shop.payment().customer is None
        assert told(*PERSONAL) == []
        assert faults() == []

    def test_the_same_is_forgotten_twice(self, shop: Shop, participant: Participant) -> None:
        again = participant.do(forget(shop))
        assert not any(counts(again).values())


def test_an_event_of_no_saga_that_is_said_again_is_passed_on_no_more(
    shop: Shop, participant: Participant
) -> None:
    shop.order = shop.saga = uuid7()
    participant.hear(choreographed(shop))
    assert [type(each).__name__ for each in participant.hear(choreographed(shop), drive=1)] == [
        "PaymentReceived"
    ]
    participant.do(forget(shop))
    assert participant.hear(choreographed(shop), drive=2) == []
    assert told(*PERSONAL) == []
    assert faults() == []


@concurrent
def test_twins_forget_once(shop: Shop, participant: Participant) -> None:
    hear(changed(shop.customer, 1))
    shop.paid()
    command, saga = forget(shop), uuid4()
    replies = together(*[functools.partial(participant.do, command, saga=saga)] * 4)
    assert [counts(reply) for reply in replies] == [counts(replies[0])] * 4
    assert counts(replies[0])["payment.Payment"] == 1


@concurrent
def test_an_event_at_the_same_moment_comes_too_late(shop: Shop, participant: Participant) -> None:
    for version in range(1, 6):
        shop.customer = uuid4()
        together(
            functools.partial(hear, changed(shop.customer, version)),
            functools.partial(participant.do, forget(shop, uuid4())),
        )
        row = kept(shop)
        assert row
        assert (row.deleted, row.version, row.name) == (True, FINAL_VERSION, "")


@concurrent
def test_a_row_that_somebody_holds_stops_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    held, free = uuid4(), uuid4()
    for customer in (held, free):
        DATA_MAP.erase(customer, [])
    BillingCustomer.everything.update(name="Zelda", deleted=False, version=3)

    def erase_again() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '100ms'")
        call_command("forget_again")

    with transaction.atomic():
        BillingCustomer.everything.select_for_update().get(pk=held)
        with pytest.raises(SystemExit):
            in_background(erase_again).result(LONGEST_WAIT)
    assert "1 rows blanked or deleted, 1 failed" in capsys.readouterr().out
    assert [row.pk for row in BillingCustomer.objects.all()] == [held]


class TestLeftovers:
    """The audit asks for totals, and tells their faults."""

    @pytest.fixture
    def ids(self, db: None) -> tuple[UUID, UUID]:
        customer, order = uuid4(), uuid7()
        DATA_MAP.erase(customer, [order])
        assert faults() == []
        return customer, order

    def test_a_customer_in_the_copy(self, ids: tuple[UUID, UUID]) -> None:
        BillingCustomer.everything.filter(pk=ids[0]).update(name="Zelda", deleted=False)
        assert faults() == [
            f"1 rows of payment.BillingCustomer hold personal data of an erased customer: {ids[0]}"
        ]

    def test_a_customer_of_a_payment(self, ids: tuple[UUID, UUID]) -> None:
        Payment.objects.create(
            id=uuid4(), order=ids[1], customer=ids[0], amount=1, currency="GBP", state="authorized", provider_id="x",
            expires_at=timezone.now(),
        )  # fmt: skip
        assert "payment.Payment" in faults()[0]

    def test_a_token_in_a_stored_request(self, ids: tuple[UUID, UUID]) -> None:
        BarrierRow.objects.create(
            key=uuid4(), saga=ids[1], step="s", command="c", action="done", request={"payment_token": "tok"}
        )
        assert "messaging.BarrierRow" in faults()[0]

    def test_an_event_and_one_that_waits_for_another_try(self, ids: tuple[UUID, UUID]) -> None:
        event = {"subject": str(ids[0]), "data": {"name": "Zelda"}}
        OutboxMessage.objects.create(kind="event", name="n", saga=ids[1], payload=event)
        OutboxMessage.objects.create(kind="task", name="n", payload={"kwargs": event})
        assert faults()[0].startswith("2 rows of messaging.OutboxMessage")

    def test_it_can_be_mended(self, ids: tuple[UUID, UUID], capsys: pytest.CaptureFixture[str]) -> None:
        BillingCustomer.everything.filter(pk=ids[0]).update(name="Zelda", deleted=False, version=3)
        OutboxMessage.objects.create(kind="task", name="n", saga=ids[1], payload={})
        call_command("forget_again")
        assert capsys.readouterr().out.splitlines() == [
            "messaging.OutboxMessage: 1 rows", "payment.BillingCustomer: 1 rows",
            "forget_again: 2 rows blanked or deleted",
        ]  # fmt: skip
        assert faults() == []

    def test_one_that_fails_stops_no_other(
        self, ids: tuple[UUID, UUID], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        others = [uuid4() for _ in range(5)]
        for customer in others:
            DATA_MAP.erase(customer, [])
        BillingCustomer.everything.update(name="Zelda", deleted=False, version=3)
        OutboxMessage.objects.create(kind="task", name="n", saga=ids[1], payload={})

        def erase(location: DataLocation, among: Collection[UUID]) -> int:
            if location.model is BillingCustomer and ids[0] in among:
                raise ValueError("a trigger of ours refuses\nDETAIL: Zelda")
            return erase_unharmed(location, among)

        erase_unharmed = DataLocation.erase
        monkeypatch.setattr(DataLocation, "erase", erase)
        with pytest.raises(SystemExit) as ended:
            call_command("forget_again")
        assert ended.value.code == 1
        assert capsys.readouterr().out.splitlines() == [
            "messaging.OutboxMessage: 1 rows", "payment.BillingCustomer: 5 rows",
            f"not blanked: payment.BillingCustomer, rows about {ids[0]}: a trigger of ours refuses",
            "forget_again: 6 rows blanked or deleted, 1 failed",
        ]  # fmt: skip
        assert [row.pk for row in BillingCustomer.objects.all()] == [ids[0]]

    def test_many_are_counted_and_some_named(self, ids: tuple[UUID, UUID]) -> None:
        for _ in range(5):
            OutboxMessage.objects.create(kind="task", name="n", saga=ids[1], payload={})
        assert faults()[0].startswith("5 rows of messaging.OutboxMessage")
        assert Forgotten.objects.count() == 2
