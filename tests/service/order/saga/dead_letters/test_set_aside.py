"""Outbox rows that cannot be sent stand among the dead letters, of whatever service they are."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIRequestFactory, force_authenticate

from celery_config.errors import OperatorRefused
from celery_config.http.service_client import ServiceClient, ServiceSilent
from celery_config.messaging.api import SetAsideList
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.outbox.set_aside import count_set_aside
from celery_config.saga.dead_letters import set_aside
from celery_config.saga.dead_letters.outcomes import note_outcomes
from celery_config.saga.dead_letters.reading import read_body, read_groups
from celery_config.saga.dead_letters.remedies import act_on, list_offers
from celery_config.saga.dead_letters.set_aside import keep_rows, read_rows, take_set_aside
from celery_config.saga.models import DeadLetter
from tests.service.order.conftest import Placed, Shop

pytestmark = pytest.mark.django_db
WHO: Any = {"by": "ada", "why": "the broker is mended"}


@pytest.fixture(autouse=True)
def others(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the other services have set aside, and what they were asked to do."""
    said: dict[str, Any] = {"payment": [], "inventory": [], "shipment": [], "asked": []}

    def get_pages(client: ServiceClient, path: str) -> Any:
        if said[client.service] is None:
            raise ServiceSilent(f"{client.service} does not answer")
        return iter([said[client.service]])

    def post(client: ServiceClient, path: str, body: Any) -> Any:
        said["asked"].append((client.service, path, body))
        return {"settled": body["ids"]}

    monkeypatch.setattr(ServiceClient, "get_pages", get_pages)
    monkeypatch.setattr(ServiceClient, "post", post)
    return said


def make_row(number: int = 7, fault: str = "its id is longer than 255 bytes") -> dict[str, Any]:
    payload = {"task": "x", "args": [{}], "kwargs": {"step": "reserve-stock", "n": number}, "options": {}}
    return {
        "id": number, "kind": "task", "name": "inventory.reserve_stock", "saga": None, "payload": payload,
        "fault": fault, "created_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip


def set_own_aside(placed: Placed) -> OutboxMessage:
    OutboxMessage.objects.filter(saga=placed.saga_id).update(fault="we publish to no exchange 'x'")
    return OutboxMessage.objects.get(saga=placed.saga_id)


def test_those_of_all_services_are_kept_once(placed: Placed, others: dict[str, Any]) -> None:
    own = set_own_aside(placed)
    others["payment"] = [make_row(7), make_row(8)]
    take_set_aside()
    take_set_aside()
    letters = DeadLetter.objects.order_by("task_id")
    assert [each.task_id for each in letters] == [f"order/{own.pk}", "payment/7", "payment/8"]
    assert {each.queue for each in letters} == {"order outbox", "payment outbox"}
    assert sorted(group.count for group in read_groups()) == [1, 2]
    assert {each.path: each.value for each in read_body(letters[1])}["message.n"] == "7"


def test_a_silent_service_hides_no_other(placed: Placed, others: dict[str, Any]) -> None:
    others["payment"], others["shipment"] = None, [make_row()]
    take_set_aside()
    assert DeadLetter.objects.get().task_id == "shipment/7"


@pytest.mark.parametrize(
    "changed",
    [{"name": "a\0b"}, {"id": 10**300}, {"payload": {"kwargs": {"saga": "\ud800"}}}],
    ids=["NUL in its name", "an id without end", "half a character"],
)
def test_a_row_that_cannot_be_kept_hides_no_other(
    shop: Shop, others: dict[str, Any], changed: dict[str, Any]
) -> None:
    others["payment"] = [make_row() | changed, make_row(8)]
    others["shipment"] = [make_row()]
    take_set_aside()
    kept = {each.task_id for each in DeadLetter.objects.all()}
    assert {"payment/8", "shipment/7"} <= kept


def test_what_a_silent_service_had_stays_open(shop: Shop, others: dict[str, Any]) -> None:
    others["payment"] = [make_row()]
    take_set_aside()
    others["payment"] = None
    take_set_aside()
    assert DeadLetter.objects.get().dealt_with_at is None


def test_what_a_service_has_settled_itself_is_dismissed(shop: Shop, others: dict[str, Any]) -> None:
    others["payment"] = [make_row()]
    take_set_aside()
    others["payment"] = []
    take_set_aside()
    letter = DeadLetter.objects.get()
    assert (letter.act, letter.dealt_with_by) == ("dismiss", "service:payment")


@pytest.mark.parametrize("act", ["send again", "dismiss"])
def test_its_service_is_told(shop: Shop, others: dict[str, Any], act: str) -> None:
    others["payment"] = [make_row()]
    take_set_aside()
    letter = DeadLetter.objects.get()
    assert {each.act: each.refused for each in list_offers(letter)}["send again"] == ""
    act_on(letter, act, **WHO)
    assert others["asked"] == [("payment", "/api/outbox/set-aside/", {"act": act, "ids": [7], **WHO})]


def test_our_own_goes_out_again(placed: Placed) -> None:
    own = set_own_aside(placed)
    take_set_aside()
    act_on(DeadLetter.objects.get(), "send again", **WHO)
    own.refresh_from_db()
    assert own.fault is None


def test_our_own_is_dismissed(placed: Placed) -> None:
    own = set_own_aside(placed)
    take_set_aside()
    act_on(DeadLetter.objects.get(), "dismiss", **WHO)
    own.refresh_from_db()
    assert own.published_at is not None
    assert count_set_aside() == 0


def test_one_that_is_not_set_aside_any_more(placed: Placed) -> None:
    own = set_own_aside(placed)
    take_set_aside()
    own.delete()
    with pytest.raises(OperatorRefused, match="not set aside at order any more"):
        act_on(DeadLetter.objects.get(), "send again", **WHO)


def test_one_that_is_set_aside_again_is_a_new_letter(shop: Shop, others: dict[str, Any]) -> None:
    others["payment"] = [make_row()]
    take_set_aside()
    first = DeadLetter.objects.get()
    act_on(first, "send again", **WHO)
    take_set_aside()
    note_outcomes()
    first.refresh_from_db()
    assert first.became == "dead again"
    assert DeadLetter.objects.filter(dealt_with_at__isnull=True).count() == 1


def test_two_relays_keep_it_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    row = set_aside.ToldRow(7, "task", "x", None, {}, "a fault")
    keep_rows("payment", [row])
    letter = set_aside.make_letter("payment", row)
    set_aside.insert_letters([letter], ["kept"])
    assert DeadLetter.objects.count() == 1


def test_over_http_a_service_reads_and_settles_them(placed: Placed) -> None:
    """The same address in every service; the order service has no other caller, so it is read as a view."""
    own = set_own_aside(placed)
    assert [row.id for row in read_rows("order")] == [own.pk]
    view = SetAsideList.as_view(permission_classes=[])
    user = User.objects.create_user("ada")
    asked = APIRequestFactory().get("/api/outbox/set-aside/")
    force_authenticate(asked, user)
    (row,) = view(asked).data["results"]
    assert (row["id"], row["fault"]) == (own.pk, own.fault)
    body = {"act": "dismiss", "ids": [own.pk], "by": "ada", "why": "known"}
    for settled in ([own.pk], []):
        asked = APIRequestFactory().post("/api/outbox/set-aside/", body, format="json")
        force_authenticate(asked, user)
        assert view(asked).data == {"settled": settled}
