"""Tokens of users: only their owner has them, and only a hash of them is kept."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from celery_config.web import tokens
from celery_config.web.models import UserToken
from celery_config.web.tokens import issue_token

pytestmark = pytest.mark.django_db
PASSWORD = "analytical engine"


@pytest.fixture
def ada(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("ada", password=PASSWORD)


def client_with(token: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


def list_names(token: str) -> Any:
    answer = client_with(token).get("/api/tokens/")
    return (
        [row["name"] for row in answer.json()["results"]] if answer.status_code == 200 else answer.status_code
    )


def test_a_user_has_several_each_with_a_name(ada: Any, stranger: APIClient) -> None:
    given = [
        stranger.post(
            "/api/token/", {"username": "ada", "password": PASSWORD, "name": name}, format="json"
        ).json()
        for name in ("till", "laptop")
    ]
    assert list_names(given[0]["token"]) == ["laptop", "till"]
    assert not UserToken.objects.filter(digest__in=[each["token"] for each in given])
    (shown,) = [
        r for r in client_with(given[0]["token"]).get("/api/tokens/").json()["results"] if r["current"]
    ]
    assert (shown["id"], shown["name"], shown["expiry"]) == (given[0]["id"], "till", given[0]["expiry"])
    assert given[0]["token"][:8] not in str(shown)


def test_its_owner_ends_one(ada: Any, django_user_model: Any) -> None:
    (first, one), (_, other) = issue_token(ada, "one"), issue_token(ada, "other")
    bob = client_with(issue_token(django_user_model.objects.create_user("bob"))[1])
    assert bob.delete(f"/api/tokens/{first.pk}/").status_code == 404
    assert client_with(other).delete(f"/api/tokens/{first.pk}/").status_code == 204
    assert (list_names(one), list_names(other)) == (401, ["other"])
    assert client_with(other).delete("/api/token/").status_code == 204
    assert list_names(other) == 401


def test_a_new_password_ends_all_and_a_new_hash_of_it_none(ada: Any) -> None:
    _, token = issue_token(ada)
    ada.refresh_from_db()
    ada.password = ada.password.replace("md5$", "unsalted$")
    ada.save(update_fields=["password"])
    assert list_names(token) == [""]
    ada.set_password("another one")
    ada.save()
    assert list_names(token) == 401


@pytest.mark.parametrize("change", [{"expiry": timezone.now() - timedelta(seconds=1)}, {}])
def test_one_that_expired_or_of_an_inactive_user_opens_nothing(ada: Any, change: dict[str, Any]) -> None:
    row, token = issue_token(ada)
    UserToken.objects.filter(pk=row.pk).update(**change or {"name": ""})
    type(ada).objects.update(is_active=bool(change))
    assert list_names(token) == 401


@pytest.mark.parametrize("given", ["x", "", "\udcff", "a b"])
def test_what_is_no_token_is_refused(given: str) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {given}".encode("utf-8", "surrogateescape"))
    assert client.get("/api/tokens/").status_code == 401


def test_its_use_is_noted_once_an_hour_and_costs_one_statement(ada: Any) -> None:
    _, token = issue_token(ada)
    client = client_with(token)
    client.get("/api/tokens/")
    noted = UserToken.objects.get().used_at
    assert noted is not None
    assert (noted.minute, noted.second, timezone.now() - noted < timedelta(hours=1)) == (0, 0, True)
    with CaptureQueriesContext(connection) as asked:
        assert client.get("/api/shipments/").status_code == 403
    assert [q["sql"].partition(" ")[0] for q in asked.captured_queries if "usertoken" in q["sql"]] == [
        "SELECT"
    ]
    UserToken.objects.update(used_at=noted - timedelta(hours=1))
    client.get("/api/tokens/")
    assert UserToken.objects.get().used_at == noted


def test_one_too_many_ends_the_one_that_was_longest_unused(ada: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST_TOKENS", 2)
    (_, used), (_, unused) = issue_token(ada), issue_token(ada)
    now = timezone.now() + timedelta(hours=1)
    UserToken.objects.filter(pk=UserToken.objects.order_by("pk")[0].pk).update(used_at=now)
    _, newest = issue_token(ada)
    assert [list_names(each) == 401 for each in (used, unused, newest)] == [False, True, False]


def test_those_of_older_versions_go_on_and_are_hashed(ada: Any) -> None:
    plain = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b"
    migration = import_module("celery_config.web.migrations.0002_hash_plain_tokens")
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE authtoken_token (key varchar(40), created timestamptz, user_id integer)")
        cursor.execute("INSERT INTO authtoken_token VALUES (%s, now(), %s)", [plain, ada.pk])
    migration.hash_plain_tokens(apps, SimpleNamespace(connection=connection))
    assert list_names(plain) == ["of an older version"]
    assert UserToken.objects.get().expiry is not None
    assert "authtoken_token" not in connection.introspection.table_names()
