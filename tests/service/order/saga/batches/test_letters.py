"""Batches of dead letters: the same machine as for flows; each letter has its own outcome."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from celery_config.errors import OperatorRefused
from celery_config.saga.batches import running
from celery_config.saga.batches.choosing import make_batch
from celery_config.saga.batches.letters import LETTERS, LetterPiece
from celery_config.saga.batches.models import Batch, BatchItem
from celery_config.saga.batches.running import run_batches
from celery_config.saga.batches.steering import steer
from celery_config.saga.dead_letters import remedies
from celery_config.saga.dead_letters.outcomes import DEAD_AGAIN
from celery_config.saga.dead_letters.remedies import act_on
from celery_config.saga.models import DeadLetter, OperatorAction
from tests.service.order.conftest import Shop
from tests.service.order.saga.dead_letters.test_remedies import find_link, keep, keep_garbage, keep_step, make
from tests.service.peer import Peer

pytestmark = pytest.mark.django_db
WHY: Any = {"by": "ada", "why": "payment is mended", "chosen_by": {}}
STEER: Any = {"by": "ada", "why": "payment is mended"}


def choose(verb: str, **more: Any) -> Batch:
    rows = DeadLetter.objects.filter(dealt_with_at__isnull=True)
    return make_batch(LETTERS, rows, verb, **WHY | more)


def begin(batch: Batch) -> None:
    run_batches()
    steer(batch.pk, "start", **STEER)
    run_batches()


def states() -> set[tuple[str, str, str]]:
    return {*BatchItem.objects.values_list("state", "would_be", "outcome")}


@pytest.fixture
def letters(shop: Shop) -> list[DeadLetter]:
    """Four sound ones, and one that no worker can read."""
    broken = find_link(shop.order(), "inventory.reserve_stock")["kwargs"]
    del broken["command"]["lines"]
    return [*(keep_step(shop.order()) for _ in range(4)), *keep(make("inventory.reserve_stock", broken))]


def test_the_dry_run_says_what_cannot_be_sent(letters: list[DeadLetter]) -> None:
    choose("send again")
    run_batches()
    assert states() == {("checked", "sent again", ""), ("refused", "refused", "")}
    assert not DeadLetter.objects.exclude(act="").exists()


def test_each_is_sent_once_and_has_its_outcome(letters: list[DeadLetter]) -> None:
    batch = choose("send again")
    begin(batch)
    batch.refresh_from_db()
    assert (batch.state, batch.settled_at) == ("ended", None)
    assert OperatorAction.objects.filter(verb="send again", what__endswith=f"in {batch}").count() == 4
    DeadLetter.objects.filter(act="send again").update(became="done")
    run_batches()
    batch.refresh_from_db()
    assert batch.settled_at
    assert states() == {("acted", "sent again", "done"), ("refused", "refused", "")}


def test_what_somebody_dealt_with_meanwhile_is_left_alone(letters: list[DeadLetter]) -> None:
    batch = choose("dismiss")
    act_on(letters[0], "dismiss", by="grace", why="known")
    run_batches()
    act_on(letters[1], "dismiss", by="grace", why="known")
    steer(batch.pk, "start", **STEER)
    run_batches()
    run_batches()
    assert states() == {("left alone", "", ""), ("acted", "dismissed", "dismissed")}
    assert set(DeadLetter.objects.values_list("dealt_with_by", flat=True)) == {"ada", "grace"}


def test_one_that_is_dead_again_holds_up_the_others(letters: list[DeadLetter]) -> None:
    batch = choose("send again", one_first=True)
    begin(batch)
    tried = DeadLetter.objects.get(act="send again")
    DeadLetter.objects.filter(pk=tried.pk).update(became=DEAD_AGAIN)
    run_batches()
    batch.refresh_from_db()
    assert (batch.state, batch.note) == ("paused", running.TRIED_IN_VAIN)
    assert DeadLetter.objects.filter(act="send again").count() == 1


def test_one_bad_letter_harms_only_itself(letters: list[DeadLetter], monkeypatch: pytest.MonkeyPatch) -> None:
    make_message = remedies.StoredLetter.make_message

    def fails(stored: Any) -> Any:
        if stored.row.pk == letters[1].pk:
            raise RuntimeError("a bug")
        return make_message(stored)

    monkeypatch.setattr(remedies.StoredLetter, "make_message", fails)
    begin(choose("send again", one_first=False))
    item = BatchItem.objects.get(letter=letters[1].pk)
    assert (item.state, "a bug" in item.reason) == ("refused", True)
    assert BatchItem.objects.filter(state="acted").count() == 3


def test_two_relays_act_once(letters: list[DeadLetter]) -> None:
    batch = choose("send again", one_first=False)
    run_batches()
    items = list(BatchItem.objects.filter(state="checked"))
    piece = LetterPiece(Batch.objects.get(pk=batch.pk))
    assert piece.act(items) == 4
    assert piece.act(items) == 0


def test_letters_of_one_flow_drive_it_once(shop: Shop) -> None:
    placed = shop.order()
    for task in ("inventory.commit_stock", "shipment.dispatch_shipment"):
        keep(make(task, find_link(placed, task)["kwargs"], queue=f"{task.partition('.')[0]}.urgent"))
    begin(choose("rebuild"))
    assert OperatorAction.objects.filter(verb="retry").count() == 1
    assert BatchItem.objects.filter(state="acted").count() == 2


class TestOverHttp:
    def test_by_group_and_by_name(self, letters: list[DeadLetter]) -> None:
        http = Peer()
        body = {"kind": "saga.deadletter", "verb": "dismiss", "why": "known"}
        group = {"fingerprint": letters[0].fingerprint}
        made = http.post("/api/batches/", body | group, format="json").json()
        items = http.get(f"/api/batches/{made['id']}/items/").json()["results"]
        assert {each["letter"] for each in items} == {each.pk for each in letters[:4]}
        named = http.post("/api/batches/", body | {"letters": [letters[4].pk]}, format="json").json()
        assert [part["count"] for part in named["parts"]] == [1]
        refused = http.post("/api/batches/", body | {"status": "parked"}, format="json")
        assert refused.status_code == 409

    def test_who_may_drive_flows_may_not_send_letters_again(self, letters: list[DeadLetter]) -> None:
        user = User.objects.create_user("ada", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=["add_batch", "retry_sagainstance"]))
        http = APIClient()
        http.force_authenticate(user)
        body = {"kind": "saga.deadletter", "verb": "dismiss", "why": "known", "letters": [letters[0].pk]}
        assert http.post("/api/batches/", body, format="json").status_code == 403

    def test_nor_start_a_batch_of_letters_that_another_made(self, letters: list[DeadLetter]) -> None:
        user = User.objects.create_user("ben", is_staff=True)
        may = ["change_batch", "retry_sagainstance"]
        user.user_permissions.set(Permission.objects.filter(codename__in=may))
        batch = choose("rebuild")
        run_batches()
        http = APIClient()
        http.force_authenticate(user)
        address = f"/api/batches/{batch.pk}/start/"
        assert http.post(address, {"why": "x"}, format="json").status_code == 403
        user.user_permissions.add(Permission.objects.get(codename="change_deadletter"))
        http.force_authenticate(User.objects.get(pk=user.pk))
        assert http.post(address, {"why": "x"}, format="json").status_code == 200


def test_there_is_no_such_verb(shop: Shop) -> None:
    keep_garbage()
    with pytest.raises(OperatorRefused, match="there is no verb 'retry'"):
        choose("retry")
