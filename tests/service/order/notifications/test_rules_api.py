"""Rules and messages over HTTP: made, changed, tested and sent again; what signs a webhook is never shown."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core import mail
from rest_framework.test import APIClient

from celery_config.notifications.models import Delivery, NotificationRule
from celery_config.web.models import ChangeRecord
from tests.service.order.notifications.test_notifications import make, see

pytestmark = pytest.mark.django_db
RULES = "/api/notification-rules/"
SECRET = "whsec_" + "YQ" * 20
EMAIL = {"name": "night", "emails": "ada@example.com"}
WEBHOOK = {"name": "hook", "channel": "webhook", "url": "https://example.com/x", "secret": SECRET}


@pytest.fixture
def api() -> APIClient:
    client = APIClient()
    client.force_authenticate(User.objects.create_superuser("ada", password="x"))
    return client


def send(api: APIClient, url: str, body: Any = None, *, method: str = "post", key: str = "") -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return getattr(api, method)(url, body or {}, format="json", headers=headers)


class TestRules:
    def test_one_is_made_once_with_a_key_changed_and_deleted_by_name(self, api: APIClient) -> None:
        for replayed in (None, "true"):
            answer = send(api, RULES, {**EMAIL, "kinds": ["parked"]}, key="k")
            assert (answer.status_code, answer.get("Idempotent-Replayed")) == (201, replayed), answer.json()
        rule = NotificationRule.objects.get()
        url = f"{RULES}{rule.pk}/"
        assert (rule.kinds, rule.least_severity, rule.enabled) == (["parked"], "ticket", True)
        assert api.get(RULES, {"channel": "email"}).json()["results"] == [api.get(url).json()]
        changed = send(api, url, {"enabled": False, "repeat_seconds": 60}, method="patch").json()
        assert (changed["enabled"], changed["repeat_seconds"], changed["kinds"]) == (False, 60, ["parked"])
        assert send(api, url, {}, method="patch").status_code == 200
        assert send(api, url, {**EMAIL, "kinds": []}, method="put").json()["enabled"] is True
        assert api.delete(url).status_code == 204
        log = ChangeRecord.objects.filter(kind="rule", key=str(rule.pk), by="ada").order_by("id")
        assert [row.what for row in log] == [
            ["created"], ["enabled", "repeat_seconds"], ["enabled", "kinds", "repeat_seconds"], ["deleted"],
        ]  # fmt: skip

    def test_the_whole_address_of_a_webhook_is_for_those_who_may_change_it(self, api: APIClient) -> None:
        made = send(api, RULES, WEBHOOK).json()
        assert made["url"] == WEBHOOK["url"]
        url, reader = f"{RULES}{made['id']}/", APIClient()
        user = User.objects.create_user("bob", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename="view_notificationrule"))
        reader.force_authenticate(user)
        for answer in (reader.get(url).json(), *reader.get(RULES).json()["results"]):
            assert answer["url"] == "https://example.com/…"
        assert api.get(url).json()["url"] == WEBHOOK["url"]

    def test_what_signs_a_webhook_is_never_shown(self, api: APIClient) -> None:
        made = send(api, RULES, WEBHOOK, key="k")
        rule = NotificationRule.objects.get()
        url = f"{RULES}{rule.pk}/"
        patched = send(api, url, {"secret": SECRET.replace("YQ", "Yg")}, method="patch")
        replayed = send(api, RULES, WEBHOOK, key="k")
        for answer in (made, patched, replayed, api.get(url), api.get(RULES), api.get("/api/changes/")):
            assert answer.status_code in (200, 201)
            assert "whsec" not in answer.content.decode()
        rule.refresh_from_db()
        assert rule.secret == SECRET.replace("YQ", "Yg")
        # Without it, it stays.
        put = {name: value for name, value in WEBHOOK.items() if name != "secret"}
        assert send(api, url, put, method="put").status_code == 200
        assert NotificationRule.objects.get().secret == rule.secret

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({**EMAIL, "emails": ""}, "emails", "invalid"),
            ({**EMAIL, "emails": "ada@example.com, nonsense"}, "emails", "invalid"),
            ({**EMAIL, "kinds": ["nonsense"]}, "kinds", "invalid_choice"),
            ({**EMAIL, "from_environment": True}, "from_environment", "unknown_field"),
            ({**EMAIL, "repeat_seconds": -1}, "repeat_seconds", "min_value"),
            ({**WEBHOOK, "url": "http://example.com/"}, "url", "invalid"),
            ({**WEBHOOK, "url": "https://user:x@example.com/"}, "url", "invalid"),
            ({**WEBHOOK, "url": "file:///etc/passwd"}, "url", "invalid"),
            ({**WEBHOOK, "secret": "whsec_YQ"}, "secret", "invalid"),
            ({name: WEBHOOK[name] for name in ("name", "channel", "url")}, "secret", "required"),
        ],
    )
    def test_one_that_reaches_no_one_is_refused(
        self, api: APIClient, body: Any, field: str, code: str
    ) -> None:
        answer = send(api, RULES, body)
        assert answer.status_code == 400
        assert [(each["field"].split(".")[0], each["code"]) for each in answer.json()["errors"]] == [
            (field, code)
        ]
        assert not NotificationRule.objects.exists()

    def test_a_change_is_checked_with_what_stays(self, api: APIClient) -> None:
        rule = NotificationRule.objects.create(**EMAIL)
        for body in ({"emails": ""}, {"channel": "webhook"}, {"channel": "webhook", "secret": SECRET}):
            assert send(api, f"{RULES}{rule.pk}/", body, method="patch").status_code == 400
        rule.refresh_from_db()
        assert (rule.channel, rule.emails) == ("email", "ada@example.com")

    def test_a_name_is_taken_once(self, api: APIClient) -> None:
        NotificationRule.objects.create(**EMAIL)
        other = NotificationRule.objects.create(name="day", emails="ada@example.com")
        for answer in (
            send(api, RULES, EMAIL, key="k"),
            send(api, f"{RULES}{other.pk}/", {"name": "night"}, method="patch"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (409, "rule_name_taken")

    def test_a_test_tells_what_became_of_it_and_is_sent_once_with_a_key(self, api: APIClient) -> None:
        url = f"{RULES}{NotificationRule.objects.create(**EMAIL).pk}/test/"
        for _ in range(2):
            answer = send(api, url, key="k")
            assert (answer.status_code, answer.json()["outcome"]) == (200, "sent")
        assert len(mail.outbox) == 1
        assert send(api, url, {"to": "eve@example.com"}).status_code == 400

    @pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "169.254.169.254", "localhost"])
    def test_no_test_reaches_a_network_of_ours(self, api: APIClient, host: str) -> None:
        made = send(api, RULES, {**WEBHOOK, "url": f"https://{host}/"}).json()
        told = send(api, f"{RULES}{made['id']}/test/").json()
        assert told["outcome"] == "failed"
        assert "public" in told["error"], told["error"]

    def test_who_only_looks_changes_and_sends_nothing(self) -> None:
        rule = NotificationRule.objects.create(**EMAIL)
        user = User.objects.create_user("bob", password="x", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename="view_notificationrule"))
        api = APIClient()
        api.force_authenticate(user)
        url = f"{RULES}{rule.pk}/"
        assert api.get(url).status_code == 200
        refused = [
            send(api, RULES, EMAIL), send(api, url, {"name": "x"}, method="patch"), api.delete(url),
            send(api, f"{url}test/"),
        ]  # fmt: skip
        assert {answer.status_code for answer in refused} == {403}
        assert not mail.outbox


class TestDeliveries:
    @pytest.fixture
    def delivery(self) -> Delivery:
        NotificationRule.objects.create(**EMAIL)
        see(make())
        return Delivery.objects.get()

    def test_what_was_given_up_is_sent_again_once(self, api: APIClient, delivery: Delivery) -> None:
        Delivery.objects.update(outcome="failed", error="answered 410", next_at=None)
        url = f"/api/deliveries/{delivery.pk}/send-again/"
        found = api.get("/api/deliveries/", {"outcome": "failed", "incident": str(delivery.incident_id)})
        assert [(row["id"], row["error"]) for row in found.json()["results"]] == [
            (str(delivery.pk), "answered 410")
        ]
        for _ in range(2):
            answer = send(api, url, key="k")
            assert (answer.status_code, answer.json()["outcome"]) == (200, "due")
        refused = send(api, url)
        assert (refused.status_code, refused.json()["code"]) == (409, "operator_refused")
        assert "not given up" in refused.json()["detail"]
        assert api.get(f"/api/deliveries/{delivery.pk}/").json()["outcome"] == "due"

    def test_one_without_its_rule_is_not_sent_again(self, api: APIClient, delivery: Delivery) -> None:
        Delivery.objects.update(outcome="failed", next_at=None)
        NotificationRule.objects.all().delete()
        assert send(api, f"/api/deliveries/{delivery.pk}/send-again/").status_code == 409

    def test_a_wrong_filter_is_refused(self, api: APIClient, delivery: Delivery) -> None:
        assert api.get("/api/deliveries/", {"outcome": "nonsense"}).status_code == 400
        assert api.get("/api/deliveries/", {"incident": "nonsense"}).status_code == 400

    def test_an_incident_is_read_alone(self, api: APIClient, delivery: Delivery) -> None:
        assert api.get(f"/api/incidents/{delivery.incident_id}/").json()["state"] == "open"
