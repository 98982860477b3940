"""The admin's pages of dead letters: the groups, one group and its batch, one letter and the acts on it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from celery_config.saga.batches.models import Batch
from celery_config.saga.models import DeadLetter, OperatorAction
from tests.service.order.conftest import Placed, Shop
from tests.service.order.saga.dead_letters.test_remedies import keep_garbage, keep_step
from tests.service.order.saga.operations.test_operators import park

pytestmark = pytest.mark.django_db
LIST = reverse("admin:saga_deadletter_changelist")


def get_url(letter: DeadLetter, view: str = "change") -> str:
    return reverse(f"admin:saga_deadletter_{view}", args=[letter.pk])


def read(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return answer.content.decode()


def log_in(client: Client, *permissions: str) -> None:
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)


class TestTheList:
    def test_the_groups_stand_above_it_and_lead_to_their_letters(
        self, admin_client: Client, placed: Placed
    ) -> None:
        letter = keep_step(placed)
        keep_garbage(3)
        html = read(admin_client, LIST)
        assert 'id="letter-groups"' in html
        assert "unknown task" in html
        html = read(admin_client, f"{LIST}?fingerprint={letter.fingerprint}&dealt_with_at__isempty=1")
        assert "1 open letter" in html
        assert "Send again" in html
        assert 'id="letter-groups"' not in html

    def test_its_statements_do_not_grow_with_the_letters(self, admin_client: Client, shop: Shop) -> None:
        counts = []
        read(admin_client, LIST)  # the session and content types are read but once
        for count in (2, 40):
            keep_garbage(count)
            with CaptureQueriesContext(connection) as asked:
                read(admin_client, LIST)
            counts.append(len(asked))
            assert not [each for each in asked if '"body"' in each["sql"]], "no list reads a body"
        assert counts[0] == counts[1] <= 8

    def test_who_may_only_look_is_offered_nothing(self, client: Client, placed: Placed) -> None:
        log_in(client, "view_deadletter")
        letter = keep_step(placed)
        html = read(client, f"{LIST}?fingerprint={letter.fingerprint}")
        assert reverse("admin:saga_deadletter_group") not in html
        assert get_url(letter, "send_again") not in read(client, get_url(letter))


class TestAGroup:
    def test_a_batch_of_its_open_letters_is_made_for_a_reason(self, admin_client: Client, shop: Shop) -> None:
        letters = keep_garbage(3)
        url = f"{reverse('admin:saga_deadletter_group')}?fingerprint={letters[0].fingerprint}&verb=dismiss"
        assert "3 dead letters" in read(admin_client, url)
        answer = admin_client.post(url, {"why": "known"})
        batch = Batch.objects.get()
        assert answer.url == reverse("admin:batches_batch_change", args=[batch.pk])
        assert (batch.verb, batch.why, batch.items.count()) == ("dismiss", "known", 3)
        assert "Dismiss" in read(admin_client, answer.url)

    @pytest.mark.parametrize("query", ["fingerprint=no&verb=dismiss", "fingerprint=&verb=", "verb=drop"])
    def test_there_is_no_such_group_or_verb(self, admin_client: Client, shop: Shop, query: str) -> None:
        assert admin_client.get(f"{reverse('admin:saga_deadletter_group')}?{query}").status_code == 404

    @pytest.mark.parametrize(
        ("verb", "needed"),
        [
            ("dismiss", ("change_deadletter", "add_batch")),
            ("rebuild", ("change_deadletter", "add_batch", "retry_sagainstance")),
        ],
    )
    def test_it_needs_what_making_a_batch_needs_elsewhere(
        self, client: Client, shop: Shop, verb: str, needed: tuple[str, ...]
    ) -> None:
        (letter,) = keep_garbage()
        log_in(client)
        user = User.objects.get(username="ada")
        url = f"{reverse('admin:saga_deadletter_group')}?fingerprint={letter.fingerprint}&verb={verb}"
        offered = f"verb={verb}"
        body = {"kind": "saga.deadletter", "verb": verb, "letters": [letter.pk], "why": "known"}
        for lacking in (*needed, None):
            held = Permission.objects.filter(codename__in={*needed, "view_deadletter"} - {lacking})
            user.user_permissions.set(held)
            is_offered = offered in read(client, f"{LIST}?fingerprint={letter.fingerprint}")
            page = client.post(url, {"why": "known"}).status_code
            api = client.post("/api/batches/", body, content_type="application/json").status_code
            expected = (True, 302, 202) if lacking is None else (False, 403, 403)
            assert (is_offered, page, api) == expected, lacking
        assert Batch.objects.count() == 2

    def test_who_may_not_drive_flows_makes_no_batch(self, client: Client, shop: Shop) -> None:
        log_in(client, "view_deadletter", "change_deadletter")
        (letter,) = keep_garbage()
        url = f"{reverse('admin:saga_deadletter_group')}?fingerprint={letter.fingerprint}&verb=dismiss"
        assert client.post(url, {"why": "known"}).status_code == 403
        assert not Batch.objects.exists()


class TestALetter:
    def test_what_may_be_done_stands_on_it_the_best_first(self, admin_client: Client, placed: Placed) -> None:
        park(placed)
        letter = keep_step(placed)
        html = read(admin_client, get_url(letter))
        offered = [html.index(get_url(letter, view)) for view in ("rebuild", "send_again", "dismiss")]
        assert offered == sorted(offered)
        assert "London" not in html

    def test_why_it_cannot_be_sent_stands_on_it(self, admin_client: Client, shop: Shop) -> None:
        (letter,) = keep_garbage()
        html = read(admin_client, get_url(letter))
        assert "Send again is not possible: unknown task" in html
        assert get_url(letter, "send_again") not in html

    def test_an_act_and_what_became_of_it(self, admin_client: Client, placed: Placed) -> None:
        letter = keep_step(placed)
        answer = admin_client.post(get_url(letter, "send_again"), {"why": "mended"}, follow=True)
        html = answer.content.decode()
        assert "sent to inventory again" in html
        assert "sent again: on its way" in html
        DeadLetter.objects.update(became="done")
        assert "sent again: done" in read(admin_client, get_url(letter))

    def test_personal_data_is_shown_for_a_reason_and_not_stored_by_the_browser(
        self, admin_client: Client, placed: Placed
    ) -> None:
        letter = keep_step(placed, "shipment.book_shipment", queue="shipment.commands")
        url = get_url(letter, "show")
        assert "London" not in read(admin_client, url)
        assert not OperatorAction.objects.exists()
        answer = admin_client.post(url, {"why": "she called"})
        assert "London" in answer.content.decode()
        assert "no-store" in answer.headers["Cache-Control"]
        assert OperatorAction.objects.get().why == "she called"

    def test_who_may_not_change_letters_sees_no_personal_data(self, client: Client, placed: Placed) -> None:
        log_in(client, "view_deadletter", "retry_sagainstance")
        letter = keep_step(placed, "shipment.book_shipment", queue="shipment.commands")
        assert client.post(get_url(letter, "show"), {"why": "x"}).status_code == 403

    def test_a_list_of_letters_is_dismissed_with_one_reason(self, admin_client: Client, shop: Shop) -> None:
        letters = keep_garbage(2)
        form: dict[str, Any] = {
            "action": "deal_with", "_selected_action": [each.pk for each in letters], "why": "known",
        }  # fmt: skip
        html = admin_client.post(LIST, form, follow=True).content.decode()
        assert "2 dead letters dismissed" in html
        assert {*DeadLetter.objects.values_list("act", "dealt_with_why")} == {("dismiss", "known")}
        assert OperatorAction.objects.filter(verb="dismiss").count() == 2
