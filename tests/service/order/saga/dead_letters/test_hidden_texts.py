"""What no contract of this release knows is hidden, wherever a dead letter or another message is shown."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any
from uuid import UUID

import pytest
from kombu.message import Message

from celery_config.broker.incoming_headers import LinkOptions
from celery_config.contracts.privacy import list_known_names
from celery_config.messaging.inbox.subscriptions import Envelope
from celery_config.messaging.models import OutboxMessage
from celery_config.participant.handlers import FenceMessage, StepMessage
from celery_config.saga.admin.dead_letters import DeadLetterAdmin
from celery_config.saga.dead_letters.reading import read_body, read_groups
from celery_config.saga.models import DeadLetter
from tests.service.order.conftest import Placed, Shop
from tests.service.order.saga.dead_letters.test_remedies import keep, keep_step, make
from tests.service.peer import Peer

pytestmark = pytest.mark.django_db
ADA = "Ada Lovelace"


def make_strange() -> Message:
    """A letter of which every text of its sender names a person."""
    message = make(ADA, {"recipient": ADA})
    message.headers |= {"kwargsrepr": ADA, "refused": f"it says '{ADA}', b'{ADA}' and \"O'{ADA}"}
    return message


@pytest.mark.parametrize(
    "kwargs",
    [
        {"recipient": ADA},
        {"recipient": {"full name": [ADA]}},
        {ADA: True},
        {"of": {ADA: 1}},
        {"seen": [ADA]},
        {"kwargsrepr": f"{{'name': '{ADA}'}}"},
        {"name": {"code": ADA}},
        {"step": ADA, "task": [ADA]},
    ],
)
def test_a_text_under_an_unknown_name_is_hidden_until_somebody_asks_for_it(kwargs: Any) -> None:
    letter = DeadLetter(body=json.dumps([[], kwargs, {}]))
    assert ADA not in str(read_body(letter))
    assert ADA in str(read_body(letter, shows_personal=True))


def test_what_contracts_know_and_do_not_mark_is_shown(placed: Placed) -> None:
    shown = {each.path: each.value for each in read_body(keep_step(placed))}
    assert shown["message.command.order"] == str(placed.id)
    assert (shown["message.step"], shown["message.operation"]) == ("reserve-stock", "do")
    assert shown["message.command.lines[0].sku"] != "hidden"


@pytest.mark.parametrize("kind", [Envelope, StepMessage, FenceMessage])
def test_what_carries_a_contract_is_known(kind: Any) -> None:
    assert {field.name for field in fields(kind)} - list_known_names() <= {"command", "needs"}


def test_what_follows_from_a_message_is_known_but_for_what_repeats_its_arguments() -> None:
    assert {*LinkOptions.__struct_fields__} - list_known_names() == {"argsrepr", "kwargsrepr", "link_error"}


def test_small_numbers_and_ids_are_shown_under_any_name() -> None:
    kwargs = {"n": 7, "is_new": True, "id_of": str(UUID(int=7)), "phone": 442079460000, "lat": 51.5}
    letter = DeadLetter(body=json.dumps([[], kwargs, {}]))
    assert [each.value for each in read_body(letter)] == ["7", "true", str(UUID(int=7)), "hidden", "hidden"]


@pytest.mark.parametrize(
    "body",
    [
        "[[], {\"kwargsrepr\": \"{'payment_token': 'tok_visa'}\"}, {}]",
        '[{"payment_token": "tok_visa',
        '[[], {"paymentToken": "tok_visa", "Payment-Token": ["tok_visa"]}, {}]',
        "PAYMENT_TOKEN: tok_visa",
        "payment_token=tok_visa",
    ],
)
def test_a_payment_token_is_cut_out_of_texts_too(body: str) -> None:
    assert "tok_vi" not in str(read_body(DeadLetter(body=body), shows_personal=True))


def test_half_a_character_is_shown_as_it_is_written(shop: Shop) -> None:
    """No encoding writes it, so that it was an internal error."""
    (letter,) = keep(make("payment.no_such", {"\ud800": "\udfff"}))
    answer = Peer().post(f"/api/dead-letters/{letter.pk}/show/", {"why": "a bug"}, format="json")
    assert (answer.status_code, "\\udfff" in str(answer.json())) == (200, True)


def test_no_address_says_more_than_the_body(shop: Shop) -> None:
    (letter,) = keep(make_strange())
    peer = Peer()
    for path in ("", "groups/", f"{letter.pk}/"):
        told = peer.get(f"/api/dead-letters/{path}").content.decode()
        assert "Ada" not in told, told
    assert "Ada" not in str(read_groups())
    answer = peer.post(f"/api/dead-letters/{letter.pk}/show/", {"why": "a bug"}, format="json")
    shown = {each["path"] for each in answer.json()["body"] if "Ada" in each["value"]}
    assert shown == {
        "message.recipient", "letter.task", "letter.queue", "letter.fault", "letter.headers.task",
        "letter.headers.kwargsrepr", "letter.headers.refused", "letter.headers.x-death[0].queue",
    }  # fmt: skip


def test_no_page_says_more(shop: Shop, admin_client: Any) -> None:
    (letter,) = keep(make_strange())
    for path in ("", f"{letter.pk}/change/", f"?fingerprint={letter.fingerprint}"):
        page = admin_client.get(f"/admin/saga/deadletter/{path}")
        assert page.status_code == 200
        assert "Ada" not in page.content.decode(), path


@pytest.mark.parametrize("query", [{"q": "Ada"}, {"q": "Lovelace"}, {"queue__icontains": "Ada"}])
def test_no_search_finds_what_is_hidden(shop: Shop, admin_client: Any, query: dict[str, str]) -> None:
    """Else who may not read a name finds it letter by letter."""
    keep(make_strange(), make("payment.no_such", {}))
    page = admin_client.get("/admin/saga/deadletter/", query)
    assert page.context["cl"].result_count == 0


@pytest.mark.parametrize("query", [{}, {"q": "no_such"}, {"queue__icontains": "payment.comm"}])
def test_a_search_finds_what_is_shown(shop: Shop, admin_client: Any, query: dict[str, str]) -> None:
    strange, plain = keep(make_strange(), make("payment.no_such", {}))
    found = {row.pk for row in admin_client.get("/admin/saga/deadletter/", query).context["cl"].result_list}
    assert found == ({plain.pk} if query else {strange.pk, plain.pk})


def test_a_list_is_sorted_by_no_column_but_those_that_it_offers(shop: Shop, admin_client: Any) -> None:
    """The order of faults tells something of what they quote, and sorting reads every row."""
    for name in ("b", "a", "c"):
        keep(make(f"payment.{name}", {}))
    columns = range(1, len(DeadLetterAdmin.list_display) + 1)
    rows = [
        [
            row.pk
            for row in admin_client.get("/admin/saga/deadletter/", {"o": str(number)})
            .context["cl"]
            .result_list
        ]
        for number in columns
    ]
    newest_first = sorted(rows[0], reverse=True)
    assert [each for each in rows if each != newest_first] == [newest_first[::-1]]


def test_names_of_ours_stay_in_a_fault(shop: Shop) -> None:
    (letter,) = keep(make("payment.no_such", {}))
    (shown,) = Peer().get("/api/dead-letters/").json()["results"]
    assert (shown["task"], shown["fault"]) == ("payment.no_such", "unknown task 'payment.no_such'")
    assert letter.fault == shown["fault"]


def test_the_page_of_an_outbox_row_hides_what_is_personal(placed: Placed, admin_client: Any) -> None:
    row = OutboxMessage.objects.get(saga=placed.saga_id)
    OutboxMessage.objects.filter(pk=row.pk).update(fault=f"it fits not: '{ADA}'")
    page = admin_client.get(f"/admin/messaging/outboxmessage/{row.pk}/change/").content.decode()
    assert str(placed.saga_id) in page
    assert "reserve-stock" in page
    for private in ("London", "tok_visa", ADA):
        assert private not in page
