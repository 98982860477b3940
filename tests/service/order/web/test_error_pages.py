"""What Django answers before or without a view: problem details under /api/, simple pages elsewhere."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import OperationalError
from django.test import Client
from rest_framework.test import APIClient

from order_project import selectors

pytestmark = pytest.mark.django_db
PROBLEM = "application/problem+json"
TOO_LARGE = "x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)


def told(answer: Any) -> tuple[int, str, str]:
    return answer.status_code, answer.headers["Content-Type"], answer.json()["code"]


@pytest.fixture(autouse=True)
def _nobody_asked_for_a_token() -> None:
    cache.clear()


class TestUnderApi:
    @pytest.mark.parametrize("url", ["/api/nothing/", "/api/orders/not-a-uuid/", "/api/orders//", "/api/"])
    def test_an_address_where_nothing_is(self, peer: APIClient, url: str) -> None:
        assert told(peer.get(url)) == (404, PROBLEM, "not_found")

    def test_a_method_that_is_not_allowed(self, peer: APIClient) -> None:
        assert told(peer.put("/api/orders/")) == (405, PROBLEM, "method_not_allowed")

    def test_a_host_that_is_not_ours(self, peer: APIClient) -> None:
        assert told(peer.get("/api/orders/", HTTP_HOST="evil.example")) == (400, PROBLEM, "host_not_allowed")

    @pytest.mark.parametrize(
        ("url", "kind"),
        [
            ("/api/orders/", "application/json"),
            ("/api/orders/", "application/x-www-form-urlencoded"),
            ("/api/token/", "application/json"),
            ("/api/token/", "application/x-www-form-urlencoded"),
        ],
    )
    def test_a_body_that_is_too_large(self, peer: APIClient, url: str, kind: str) -> None:
        assert told(peer.post(url, TOO_LARGE, content_type=kind)) == (413, PROBLEM, "body_too_large")

    def test_an_error_of_ours_shows_no_details(
        self, peer: APIClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(user: Any) -> Any:
            raise RuntimeError("the secret is 42")

        monkeypatch.setattr(selectors, "visible_orders", broken)
        peer.raise_request_exception = False
        answer = peer.get("/api/orders/")
        assert told(answer) == (500, PROBLEM, "internal_error")
        assert "42" not in answer.content.decode()
        assert answer.headers["X-Request-ID"]

    @pytest.mark.parametrize("limit", ["abc", "-1", "0", "501", "100000", "1.5", "", "9" * 5000])
    def test_a_limit_that_is_none(self, peer: APIClient, limit: str) -> None:
        answer = peer.get("/api/orders/", {"limit": limit})
        assert told(answer) == (400, PROBLEM, "invalid")
        assert "1 to 500" in answer.json()["detail"]

    @pytest.mark.parametrize("given", ["status=done", "customer=ada", "reference=%00", "cursor=x"])
    def test_a_filter_of_the_wrong_type(self, peer: APIClient, given: str) -> None:
        assert told(peer.get(f"/api/orders/?{given}")) == (400, PROBLEM, "invalid")
        assert told(peer.get("/api/barrier/?saga=1")) == (400, PROBLEM, "invalid")

    @pytest.mark.parametrize("version", ["", "1.5", "1.0", "1_0", "1e0", "one", "NaN", "%C2%B2", "9" * 5000])
    def test_a_number_that_is_none(self, peer: APIClient, version: str) -> None:
        assert told(peer.get(f"/api/sagas/?version={version}")) == (400, PROBLEM, "invalid")

    @pytest.mark.parametrize("version", ["1", "-1", "9" * 19])
    def test_a_number(self, peer: APIClient, version: str) -> None:
        assert peer.get(f"/api/sagas/?version={version}").status_code == 200

    @pytest.mark.parametrize(
        ("query", "told"),
        [
            (f"sagas/?version={'9' * 20}", "A number has at most 19 digits here."),
            ("sagas/?version=100%25d", "'100%d' is not a whole number."),
            (
                "orders/?status=done",
                "must be one of placed, stopping, finishing, parked, confirmed, cancelled",
            ),
        ],
    )
    def test_a_filter_says_what_it_takes(self, peer: APIClient, query: str, told: str) -> None:
        assert peer.get(f"/api/{query}").json()["detail"] == told

    @pytest.mark.parametrize(
        ("body", "kind", "told"),
        [
            (b'{"why": "\xff"}', "application/json", "the body is not utf-8"),
            (
                b'{"why": %s}' % (b"9" * 5000),
                "application/json",
                "a number is too long or too large, or is NaN or Infinity",
            ),
            *(
                (body, "application/json", "a number is too long or too large, or is NaN or Infinity")
                for body in (b'{"why": NaN}', b'{"why": 1e999}')
            ),
            (b"[" * 20_000, "application/json", "nested too deeply"),
            (b'{"why"', "application/json", "Expecting ':' delimiter: line 1 column 7"),
        ],
    )
    def test_a_body_that_is_no_json(self, peer: APIClient, body: bytes, kind: str, told: str) -> None:
        answer = peer.post("/api/orders/", body, content_type=kind)
        assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")
        assert answer.json()["detail"] == f"JSON parse error - {told}"

    def test_half_a_surrogate_pair_can_be_answered(self, peer: APIClient) -> None:
        answer = peer.post(
            "/api/orders/", rb'{"flow": "\ud83d", "currency": "\ud83d"}', content_type="application/json"
        )
        assert told(answer) == (400, PROBLEM, "invalid")
        flow = next(error for error in answer.json()["errors"] if error["field"] == "flow")
        assert flow["detail"] == "must be one of orchestrated, choreographed"

    def test_nul_in_the_address(self, peer: APIClient) -> None:
        assert told(peer.get("/api/sagas/%00/")) == (400, PROBLEM, "bad_request")

    @pytest.mark.parametrize(
        ("query", "detail"),
        [
            ("orders/?custommer=7", "there are customer, idempotency_key, reference, status."),
            ("barrier/?utm_source=mail", "there are action, began_since, saga, sagas, step, undo."),
            ("forgotten/?at=1", "this list has none."),
        ],
    )
    def test_a_filter_that_a_list_does_not_know(self, peer: APIClient, query: str, detail: str) -> None:
        """Ignored it would give the rows of all."""
        answer = peer.get(f"/api/{query}")
        assert told(answer) == (400, PROBLEM, "invalid")
        (error,) = answer.json()["errors"]
        assert (error["code"], error["detail"]) == (
            "unknown_filter",
            f"This filter is unknown here; {detail}",
        )

    def test_what_pages_and_forms_a_list_is_no_filter(self, peer: APIClient) -> None:
        assert peer.get("/api/barrier/?limit=5&format=json&began_since=2026-01-01").status_code == 200


class TestElsewhere:
    @pytest.mark.parametrize(
        ("url", "host", "status"), [("/nothing", "localhost", 404), ("/", "evil.example", 400)]
    )
    def test_it_is_a_page(self, client: Any, url: str, host: str, status: int) -> None:
        answer = client.get(url, HTTP_HOST=host)
        assert answer.status_code == status
        assert answer.headers["Content-Type"].startswith("text/html")


class TestTheRequestId:
    @pytest.mark.parametrize("given", ["a", "8f4e.7-A_b", "x" * 128])
    def test_a_plain_one_is_kept(self, client: Any, given: str) -> None:
        assert client.get("/healthz", HTTP_X_REQUEST_ID=given).headers["X-Request-ID"] == given

    @pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\x1b[31m", "ä", '{"a":1}', "a\n"])
    def test_any_other_is_replaced(self, client: Any, given: str) -> None:
        answered = client.get("/healthz", HTTP_X_REQUEST_ID=given).headers["X-Request-ID"]
        assert answered not in ("", given)
        assert len(answered) == 36


@pytest.mark.parametrize("query", ["currency__icontains=%00", "status__exact=%00"])
def test_nul_in_the_address_of_a_page(client: Client, query: str) -> None:
    client.force_login(User.objects.create_superuser("ada", password="x"))
    assert client.get(f"/admin/order/order/?{query}").status_code == 400


@pytest.mark.parametrize("body", ["[" * 20_000, '{"a":' * 3_000])
def test_a_token_is_not_asked_for_with_bottomless_json(client: Client, body: str) -> None:
    answer = client.post("/api/token/", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")


class TestAskingForATokenByPassword:
    def test_as_a_form(self, client: Client) -> None:
        """As `curl -d username=… -d password=…` sends it, and as DRF's own takes it."""
        User.objects.create_user("ada", password="analytical")
        form = urlencode({"username": "ada", "password": "analytical"})
        answer = client.post("/api/token/", form, content_type="application/x-www-form-urlencoded")
        assert (answer.status_code, [*answer.json()]) == (200, ["token", "id", "name", "expiry"])

    def test_nothing_else_takes_forms(self, peer: APIClient) -> None:
        answer = peer.post("/api/orders/", "lines=1", content_type="application/x-www-form-urlencoded")
        assert told(answer) == (415, PROBLEM, "unsupported_media_type")

    def test_ten_times_a_minute(self, client: Client) -> None:
        guess = {"username": "ada"}
        answers = [client.post("/api/token/", guess, content_type="application/json") for _ in range(11)]
        assert [answer.status_code for answer in answers] == [400] * 10 + [429]
        assert told(answers[-1]) == (429, PROBLEM, "throttled")
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
        other = client.post("/api/token/", guess, content_type="application/json", REMOTE_ADDR="10.0.0.2")
        assert other.status_code == 400

    def test_ten_times_a_minute_from_all_addresses_of_a_client(self, client: Client) -> None:
        guess = {"username": "ada"}
        for n in range(11):
            answer = client.post(
                "/api/token/", guess, content_type="application/json", REMOTE_ADDR=f"2001:db8::{n}"
            )
        assert answer.status_code == 429

    def test_an_address_is_not_what_a_client_says(self, client: Client) -> None:
        guess = {"username": "ada"}
        for n in range(11):
            answer = client.post(
                "/api/token/", guess, content_type="application/json", HTTP_X_FORWARDED_FOR=f"10.0.0.{n}"
            )
        assert answer.status_code == 429


def test_a_database_that_is_busy(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody holds a row for too long: try again, says the answer."""

    def busy(*args: object) -> None:
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr("order_project.selectors.visible_orders", busy)
    client.force_login(User.objects.create_user("ada", password="x"))
    answer = client.get("/api/orders/")
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")


@pytest.mark.parametrize(
    ("url", "content_type"), [("/admin/login/", "text/html; charset=utf-8"), ("/api/nothing/", PROBLEM)]
)
def test_a_database_that_is_away_before_a_view_of_ours(
    client: Client, monkeypatch: pytest.MonkeyPatch, url: str, content_type: str
) -> None:
    def fail(*args: object) -> None:
        raise OperationalError("the connection is closed")

    client.raise_request_exception = False
    monkeypatch.setattr("celery_config.web.middleware.check_encoding", fail)
    answer = client.get(url)
    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == content_type
    assert answer.headers["Retry-After"] == "5"
