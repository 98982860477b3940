"""A service's token opens the calls of its scope, and the trail has its name."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.conf import settings
from django.test import override_settings
from rest_framework.request import Request
from rest_framework.test import APIClient
from structlog.testing import capture_logs

from celery_config.common.service_calls import OPERATOR, SHARED
from celery_config.http.service_tokens import TokenMode
from celery_config.messaging.idempotency import name_client
from celery_config.web.authentication import ServiceUser
from celery_config.web.checks import check_service_authentication
from tests.service.peer import bearer

pytestmark = pytest.mark.django_db
TASK = {"task": "none", "message": {}, "replies": {}}


def send_command(authorization: str) -> Any:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=authorization)
    return client.post("/api/commands/", TASK, format="json")


def test_a_call_outside_of_the_scope_says_whose_it_was() -> None:
    assert send_command(bearer("order")).status_code == 404
    with capture_logs() as logs:
        answer = send_command(bearer("operator"))
    assert [
        (each["caller"], each["call"]) for each in logs if each["event"].endswith("out of its scope")
    ] == [("service:operator", "POST commands")]
    assert (answer.status_code, answer.json()["code"]) == (403, "out_of_scope")
    assert answer.json()["detail"] == "service:operator may not call POST commands here."


def test_a_wrong_token_is_logged_with_the_address_and_without_the_token() -> None:
    with capture_logs() as logs:
        assert send_command("Bearer guessed").status_code == 401
    (logged,) = (each for each in logs if each["event"] == "a service token is wrong")
    assert logged["address"] == "127.0.0.1"
    assert "guessed" not in str(logs)


def test_no_account_can_have_a_callers_name(django_user_model: Any) -> None:
    from django.core.exceptions import ValidationError

    user = django_user_model(username=ServiceUser("order").get_username())
    with pytest.raises(ValidationError, match="valid username"):
        user.clean_fields(exclude=["password"])


def test_a_program_that_changes_from_the_shared_token_keeps_its_idempotency_keys() -> None:
    shared, operator, order = (
        name_client(cast(Request, SimpleNamespace(user=ServiceUser(caller))))
        for caller in (SHARED, OPERATOR, "order")
    )
    assert shared == operator != order


def test_the_shared_token_of_older_versions_is_warned_of() -> None:
    assert check_service_authentication(None) == []
    before = replace(settings.SERVICE_TOKENS, shared={settings.SERVICE: b"old"}, mode=TokenMode.ACCEPT)
    assert send_command("Bearer old").status_code == 401
    with override_settings(SERVICE_TOKENS=before):
        assert send_command("Bearer old").status_code == 404
        (warning,) = check_service_authentication(None)
    assert warning.id == "web.W001"
