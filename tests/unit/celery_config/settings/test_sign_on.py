"""Settings of the sign-on: what does not fit is told before anything starts."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from celery_config.common.roles import Role, list_roles
from celery_config.settings.sign_on import NO_PASSWORDS, PASSWORDS, read_groups, sign_on_settings

OWN = {"OIDC_ISSUER": "https://id.example.com/", "OIDC_CLIENT_ID": "shop", "OIDC_CLIENT_SECRET": "secret"}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*OWN, "ORDER_OIDC_CLIENT_ID", "ORDER_OIDC_CLIENT_SECRET", "OIDC_GROUPS", "PASSWORD_SIGN_IN"):
        monkeypatch.delenv(name, raising=False)


def set_all(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_without_an_issuer_there_are_passwords_alone() -> None:
    found = sign_on_settings("order", production=True)
    assert (found["OIDC_ISSUER"], found["PASSWORD_SIGN_IN"]) == ("", True)
    assert found["AUTHENTICATION_BACKENDS"][-1] == PASSWORDS


def test_a_service_may_be_a_client_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, **OWN, ORDER_OIDC_CLIENT_ID="order", PASSWORD_SIGN_IN="false")
    order, payment = (sign_on_settings(name, production=True) for name in ("order", "payment"))
    assert (order["OIDC_CLIENT_ID"], payment["OIDC_CLIENT_ID"]) == ("order", "shop")
    assert order["OIDC_ISSUER"] == "https://id.example.com"
    assert order["AUTHENTICATION_BACKENDS"][-1] == NO_PASSWORDS


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"OIDC_ISSUER": "https://id.example.com"}, "needs OIDC_CLIENT_ID and OIDC_CLIENT_SECRET"),
        ({**OWN, "OIDC_ISSUER": "http://id.example.com"}, "begins with https://"),
        ({"PASSWORD_SIGN_IN": "false"}, "PASSWORD_SIGN_IN=false needs OIDC_ISSUER"),
        ({**OWN, "OIDC_GROUPS": "ops=boss"}, "names 'boss'; the shipped groups are reader,"),
    ],
)
def test_what_does_not_fit_is_told(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], told: str
) -> None:
    set_all(monkeypatch, **values)
    with pytest.raises(ImproperlyConfigured, match=told):
        sign_on_settings("order", production=True)


def test_groups_of_the_provider_stand_for_shipped_ones() -> None:
    groups = read_groups(["shop-ops = operator", "finance"])
    assert groups == {"shop-ops": Role.OPERATOR, "finance": Role.FINANCE}
    assert read_groups([]) == {role.value: role for role in Role}
    assert list_roles(["shop-ops", "other", 7], groups) == {Role.OPERATOR}
    assert list_roles("finance", groups) == {Role.FINANCE}
    assert list_roles({"finance": True}, groups) == list_roles(None, groups) == frozenset()
