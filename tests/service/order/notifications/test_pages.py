"""Rules, incidents and messages on pages, over HTTP and on the board: who sees them, and who acts."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core import mail
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from celery_config.notifications import heartbeat
from celery_config.notifications.models import Delivery, Incident, NotificationRule
from celery_config.web.columns import get_page_url
from tests.service.order.notifications.test_notifications import make, see

pytestmark = pytest.mark.django_db
NOTE = "I call the carrier"


def log_in(*permissions: str) -> Client:
    user = User.objects.create_user("bob", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def rule() -> NotificationRule:
    return NotificationRule.objects.create(name="night", emails="ada@example.com")


@pytest.fixture
def incident(rule: NotificationRule) -> Incident:
    see(make())
    return Incident.objects.get()


def submit_rule(client: Client, **fields: Any) -> str:
    form = {
        "name": "new", "enabled": "on", "channel": "email", "emails": "ada@example.com", "url": "",
        "secret": "whsec_" + "YQ" * 20, "least_severity": "ticket", "repeat_seconds": "600",
    }  # fmt: skip
    answer = client.post(reverse("admin:notifications_notificationrule_add"), form | fields)
    return "" if answer.status_code == 302 else answer.content.decode()


class TestRules:
    def test_who_may_not_change_a_webhook_sees_its_host_alone(self, admin_client: Client) -> None:
        secret = "T0/xoxb"
        rule = NotificationRule.objects.create(
            name="hook", channel="webhook", url=f"https://hooks.example.com/{secret}"
        )
        sent = Delivery.objects.create(rule=rule, target=rule.target, message="test")
        reader = log_in("view_notificationrule", "view_delivery")
        pages = [get_page_url(rule), get_page_url(sent)]
        for url in (*pages, *(page.rsplit("/", 3)[0] + "/" for page in pages)):
            shown = reader.get(url).content.decode()
            assert "https://hooks.example.com/…" in shown
            assert secret not in shown
        assert secret in admin_client.get(pages[0]).content.decode()

    @pytest.mark.parametrize(
        ("seconds", "says"), [(14_400, "every 4 h"), (5400, "every 1 h 30 min"), (0, "not repeated")]
    )
    def test_the_list_says_how_often_one_is_repeated(
        self, admin_client: Client, rule: NotificationRule, seconds: int, says: str
    ) -> None:
        NotificationRule.objects.update(repeat_seconds=seconds)
        assert (
            says
            in admin_client.get(reverse("admin:notifications_notificationrule_changelist")).content.decode()
        )

    def test_one_is_made_with_kinds_and_a_secret(self, admin_client: Client) -> None:
        empty = admin_client.get(reverse("admin:notifications_notificationrule_add")).content.decode()
        assert "whsec_" in empty
        assert "E-mail addresses" in empty
        assert "Address of the webhook" in empty
        assert not submit_rule(admin_client, kinds=["parked", "relay"])
        assert NotificationRule.objects.get().kinds == ["parked", "relay"]

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"emails": ""}, "Give an address"),
            ({"emails": "ada@example.com, nonsense"}, "nonsense: Enter a valid email address"),
            ({"channel": "webhook", "url": "http://example.com/"}, "begins with https"),
            ({"channel": "webhook", "url": "https://user:x@example.com/"}, "begins with https"),
            ({"channel": "webhook", "url": "ftp://example.com/"}, "begins with https"),
            ({"channel": "webhook", "url": "https://example.com/", "secret": "whsec_YQ"}, "24 bytes"),
            ({"kinds": ["nonsense"]}, "nonsense is not one of the available choices"),
        ],
    )
    def test_one_that_reaches_nobody_is_refused(self, admin_client: Client, fields: Any, says: str) -> None:
        assert says in submit_rule(admin_client, **fields)

    def test_a_test_shows_what_became_of_it(self, admin_client: Client, rule: NotificationRule) -> None:
        page = admin_client.get(get_page_url(rule, "send_test")).content.decode()
        assert "is sent to ada@example.com now" in page
        assert not mail.outbox
        answer = admin_client.post(get_page_url(rule, "send_test"), follow=True).content.decode()
        assert "Sent: ada@example.com has accepted it" in answer
        assert [message.subject for message in mail.outbox] == [
            "Test: A test of the rule “night”: what it is about is sent here."
        ]

    def test_a_test_that_fails_shows_why(
        self, admin_client: Client, rule: NotificationRule, settings: Any
    ) -> None:
        settings.EMAIL_HOST_IS_SET = False
        answer = admin_client.post(get_page_url(rule, "send_test"), follow=True).content.decode()
        assert "Not accepted by ada@example.com: no mail server is set" in answer

    def test_who_only_looks_sees_no_secret_and_sends_no_test(self, rule: NotificationRule) -> None:
        client = log_in("view_notificationrule")
        page = client.get(get_page_url(rule)).content.decode()
        assert "night" in page
        assert rule.secret not in page
        assert client.post(get_page_url(rule, "send_test")).status_code == 403


class TestIncidents:
    def test_one_is_acknowledged_with_a_note(self, admin_client: Client, incident: Incident) -> None:
        assert (
            "It is not repeated any more"
            in admin_client.get(get_page_url(incident, "acknowledge")).content.decode()
        )
        answer = admin_client.post(get_page_url(incident, "acknowledge"), {"note": NOTE}, follow=True)
        page = answer.content.decode()
        assert "Acknowledged" in page
        assert NOTE in page
        again = admin_client.post(get_page_url(incident, "acknowledge"), {"note": NOTE}, follow=True)
        assert "Nothing was changed: the incident is acknowledged by admin" in again.content.decode()

    def test_who_only_looks_cannot(self, incident: Incident) -> None:
        client = log_in("view_incident")
        assert client.get(get_page_url(incident)).status_code == 200
        assert client.post(get_page_url(incident, "acknowledge"), {"note": NOTE}).status_code == 403

    def test_its_page_shows_its_messages_and_the_list_its_state(
        self, admin_client: Client, incident: Incident
    ) -> None:
        page = admin_client.get(get_page_url(incident)).content.decode()
        assert "ada@example.com" in page
        assert "€35.70 held" in page
        assert "field-cause" not in page, "its sentence says it in words"
        for state, shown in (("open", True), ("over", False)):
            rows = admin_client.get(reverse("admin:notifications_incident_changelist"), {"state": state})
            assert (str(incident.pk) in rows.content.decode()) is shown

    def test_over_http_with_a_key_once(self, incident: Incident) -> None:
        api = APIClient()
        api.force_authenticate(User.objects.create_superuser("ada", password="x"))
        (row,) = api.get("/api/incidents/", {"state": "open", "kind": "parked"}).json()["results"]
        assert (row["id"], row["state"]) == (str(incident.pk), "open")
        assert api.get("/api/incidents/", {"state": "nonsense"}).status_code == 400
        url, body = f"/api/incidents/{incident.pk}/acknowledgement/", {"note": NOTE}
        for _ in range(2):
            answer = api.post(url, body, format="json", headers={"Idempotency-Key": "k"})
            assert (answer.status_code, answer.json()["state"]) == (200, "acknowledged")
        assert answer["Idempotent-Replayed"] == "true"
        assert api.post(url, body, format="json").status_code == 409
        assert api.get("/api/incidents/", {"state": "open"}).json()["results"] == []


class TestDeliveries:
    def test_what_was_given_up_is_sent_again(self, admin_client: Client, incident: Incident) -> None:
        Delivery.objects.update(outcome="failed", error="answered 410", next_at=None)
        url = reverse("admin:notifications_delivery_changelist")
        assert "answered 410" in admin_client.get(url).content.decode()
        chosen = {"action": "send_again", "_selected_action": [str(Delivery.objects.get().pk)]}
        assert "1 message is sent again" in admin_client.post(url, chosen, follow=True).content.decode()
        assert Delivery.objects.get().outcome == "due"


class TestTheBoard:
    def test_shows_what_stands_and_whether_anybody_would_be_told(
        self, admin_client: Client, incident: Incident, django_assert_max_num_queries: Any
    ) -> None:
        heartbeat.beat()
        url = reverse("admin:board", args=["incidents"])
        admin_client.get(url)
        with django_assert_max_num_queries(10):
            page = admin_client.get(url).content.decode()
        assert "does not run" not in page
        assert reverse("admin:notifications_incident_changelist") in page

    def test_shows_nothing_to_who_may_not_see_it(self, incident: Incident) -> None:
        assert "<h2>" not in log_in().get(reverse("admin:board", args=["incidents"])).content.decode()
