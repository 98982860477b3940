"""Sign-on at a provider of OpenID Connect, which runs as a process of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.test import Client, override_settings

from celery_config.common.roles import Role
from celery_config.settings.sign_on import AXES, NO_PASSWORDS
from celery_config.web import sign_on as sign_on_views
from celery_config.web.models import ChangeRecord, ProviderIdentity
from celery_config.web.sign_on import make_provider
from compose.local import ports
from tests.oidc_provider import Provider, read_parameters, serve_provider

pytestmark = pytest.mark.django_db
ADA = "7f1c"


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with serve_provider() as provider:
        yield provider


@pytest.fixture
def provider(running: Provider) -> Iterator[Provider]:
    """It knows Ada, who operates."""
    running.break_token()
    running.set_user(ADA, preferred_username="ada", email="ada@example.com", groups=["shop-ops", "all staff"])
    own = {
        "OIDC_ISSUER": running.issuer,
        "OIDC_CLIENT_ID": "order",
        "OIDC_CLIENT_SECRET": "secret",
        "OIDC_GROUPS": {"shop-ops": Role.OPERATOR, "support": Role.SUPPORT},
    }
    with override_settings(**own):
        yield running


def go(client: Client, provider: Provider, subject: str = ADA, **begin: Any) -> str:
    """Begin a sign-on and let the provider know the person; return where it sends them."""
    begun = client.get("/sign-on/", begin)
    assert begun.status_code == 302, begun.content
    return provider.let_in(begun["Location"], subject)


def sign_on(client: Client, provider: Provider, subject: str = ADA, **begin: Any) -> Any:
    return client.get(go(client, provider, subject, **begin))


def test_a_person_gets_the_groups_that_the_provider_names(client: Client, provider: Provider) -> None:
    ended = sign_on(client, provider, next="/admin/saga/sagainstance/")
    assert (ended.status_code, ended["Location"]) == (302, "/admin/saga/sagainstance/")
    assert client.get(ended["Location"]).status_code == 200
    ada = User.objects.get(username="ada")
    assert (ada.is_staff, ada.is_superuser, ada.email) == (True, False, "ada@example.com")
    assert not ada.has_usable_password()
    assert [group.name for group in ada.groups.all()] == [Role.OPERATOR]
    record = ChangeRecord.objects.get()
    assert (record.kind, record.key, record.by) == ("account", "ada", "sign-on")
    assert record.what == {"groups": [[], ["operator"]], "is_staff": [False, True]}


def test_groups_follow_the_provider_and_others_stay(client: Client, provider: Provider) -> None:
    sign_on(client, provider)
    ada = User.objects.get(username="ada")
    ada.groups.add(Group.objects.create(name="night shift"))
    provider.set_user(ADA, preferred_username="ada.l", groups="support")
    assert sign_on(Client(), provider).status_code == 302
    assert {group.name for group in ada.groups.all()} == {"support", "night shift"}
    assert User.objects.count() == 1  # the provider's id counts, and not the name
    ada.groups.remove(Group.objects.get(name="night shift"))
    provider.set_user(ADA, preferred_username="ada", groups=["none of ours"])
    refused = sign_on(Client(), provider)
    assert refused.status_code == 403
    assert "names no group of yours" in refused.content.decode()
    ada.refresh_from_db()
    assert (ada.is_staff, ada.groups.count()) == (False, 0)


def test_strangers_get_no_account(client: Client, provider: Provider) -> None:
    provider.set_user("b", preferred_username="bob")
    assert sign_on(client, provider, "b").status_code == 403
    assert not User.objects.exists()


def test_an_account_that_is_there_is_not_taken_over(client: Client, provider: Provider) -> None:
    User.objects.create_superuser("ada")
    refused = sign_on(client, provider)
    assert refused.status_code == 403
    assert "another account here is called" in refused.content.decode()
    assert not ProviderIdentity.objects.exists()


@pytest.mark.parametrize(
    "name",
    [
        "service:payment", "service:operator", "sign-on", "a\nb", "ada\u202e",
        # An account keeps these as the first and the third.
        "service\uff1apayment", "service\ufe55payment", "sign\uff0don", "sign-on ", "Sign-On",
    ],
)  # fmt: skip
def test_a_person_cannot_call_themselves_a_service(client: Client, provider: Provider, name: str) -> None:
    """Else the trail would say that a service did what they did."""
    provider.set_user(ADA, preferred_username=name, groups=["shop-ops"])
    refused = sign_on(client, provider)
    assert refused.status_code == 403
    assert "none that an account may have" in refused.content.decode()
    assert not User.objects.exists()


@pytest.mark.parametrize("name", ["Ada", "ADA"])
def test_a_person_does_not_get_almost_the_name_of_another(
    client: Client, provider: Provider, name: str
) -> None:
    """In the trail, and in what one person may do alone, they would be hard to tell apart."""
    User.objects.create_user("ada")
    provider.set_user("b", preferred_username=name, groups=["shop-ops"])
    assert sign_on(client, provider, "b").status_code == 403
    assert User.objects.count() == 1


@pytest.mark.parametrize(("claims", "status"), [({"email": "\0@example.com"}, 302), ({"sub": "b\0"}, 403)])
def test_what_no_table_keeps_is_no_error_of_ours(
    client: Client, provider: Provider, claims: dict[str, str], status: int
) -> None:
    provider.break_token(**claims)
    assert sign_on(client, provider).status_code == status
    assert [user.email for user in User.objects.all()] == ([""] if status == 302 else [])


def test_a_name_that_an_account_would_keep_longer_than_it_may_is_refused(
    client: Client, provider: Provider
) -> None:
    provider.set_user(ADA, preferred_username="\ufdfa" * 150, groups=["shop-ops"])
    assert sign_on(client, provider).status_code == 403
    assert not User.objects.exists()


def test_a_closed_account_stays_closed(client: Client, provider: Provider) -> None:
    sign_on(client, provider)
    User.objects.update(is_active=False)
    assert sign_on(Client(), provider).status_code == 403


@pytest.mark.parametrize(
    "fault",
    [
        {"nonce": "of another sign-on"},
        {"iss": "https://elsewhere.example"},
        {"aud": "payment"},
        {"aud": ["payment"], "azp": "order"},
        {"exp": int(time.time()) - 3600},
        {"iat": int(time.time()) + 3600},
        {"foreign_key": True},
    ],
    ids=lambda fault: next(iter(fault)),
)
def test_a_token_that_is_wrong_in_one_way_is_refused(
    client: Client, provider: Provider, fault: dict[str, Any]
) -> None:
    provider.break_token(**fault)
    assert_refused(client, client.get(go(client, provider)))


def assert_refused(client: Client, answer: Any) -> None:
    assert answer.status_code == 403
    assert "is not valid" in answer.content.decode()
    assert not User.objects.exists()
    assert client.get("/admin/").status_code == 302


def test_a_wrong_state_is_refused(client: Client, provider: Provider) -> None:
    back = go(client, provider)
    state = read_parameters(back)["state"]
    assert_refused(client, client.get(back.replace(state, "another")))
    assert_refused(Client(), Client().get(back))  # the browser of another person


def test_a_way_back_leads_in_once(client: Client, provider: Provider) -> None:
    back = go(client, provider)
    assert client.get(back).status_code == 302
    client.logout()
    assert client.get(back).status_code == 403


def test_a_code_without_its_verifier_is_not_enough(client: Client, provider: Provider) -> None:
    begun = client.get("/sign-on/")
    asked = read_parameters(begun["Location"])
    assert (asked["code_challenge_method"], asked["response_type"]) == ("S256", "code")
    assert asked["nonce"]


def test_another_issuer_than_the_settings_name_is_refused(client: Client, provider: Provider) -> None:
    """The provider names itself in its tokens."""
    with override_settings(OIDC_ISSUER=provider.issuer.replace("127.0.0.1", "localhost")):
        provider.break_token(iss=provider.issuer)
        assert_refused(client, client.get(go(client, provider)))


@pytest.mark.parametrize(
    "after", ["https://elsewhere.example/", "//elsewhere.example/", "javascript:alert(1)"]
)
def test_it_leads_nowhere_else(client: Client, provider: Provider, after: str) -> None:
    assert sign_on(client, provider, next=after)["Location"] == "/admin/"


def test_a_visit_of_a_stranger_writes_no_row(provider: Provider) -> None:
    for _ in range(3):
        assert Client().get("/sign-on/").status_code == 302
        assert Client().get("/sign-on/end/?code=x&state=y").status_code == 403
    assert not Session.objects.exists()


def test_several_pages_may_sign_on_at_once(client: Client, provider: Provider) -> None:
    ways = [go(client, provider) for _ in range(3)]
    assert client.get(ways[0]).status_code == 302
    for _ in range(20):
        client.get("/sign-on/", {"next": "/admin/" + "x" * 5000})
    (cookie,) = [each for name, each in client.cookies.items() if name.endswith("sign_on")]
    assert len(cookie.value) < 3500  # a browser keeps no cookie above 4096 bytes
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


def test_a_provider_that_does_not_answer_is_named(client: Client, provider: Provider) -> None:
    with override_settings(OIDC_ISSUER=f"http://127.0.0.1:{ports.free_port()}"):
        answer = client.get("/sign-on/")
    assert answer.status_code == 503
    assert "does not answer" in answer.content.decode()


def test_a_provider_that_hangs_takes_a_part_of_the_threads(client: Client, provider: Provider) -> None:
    back = go(client, provider)
    for _ in range(sign_on_views.MOST_ASKING):
        assert sign_on_views.places.acquire(blocking=False)
    try:
        refused = client.get(back)
        assert (refused.status_code, "does not answer" in refused.content.decode()) == (503, True)
        assert Client().get("/sign-on/").status_code == 503
    finally:
        sign_on_views.places.release(sign_on_views.MOST_ASKING)
    for _ in range(sign_on_views.MOST_ASKING + 1):
        assert sign_on(Client(), provider).status_code == 302


def test_a_person_may_refuse(client: Client, provider: Provider) -> None:
    begun = client.get("/sign-on/")
    back = httpx.post(begun["Location"], data={"action": "deny"}, timeout=10).headers["Location"]
    state = read_parameters(begun["Location"])["state"]
    assert client.get(f"/sign-on/end/?error=access_denied&state={state}").status_code == 403
    assert "error=access_denied" in back


def test_the_login_page_leads_there(client: Client, provider: Provider) -> None:
    page = client.get("/admin/login/?next=/admin/order/").content.decode()
    assert 'href="/sign-on/?next=%2Fadmin%2Forder%2F"' in page
    with override_settings(OIDC_ISSUER=""):
        assert "/sign-on/" not in client.get("/admin/login/").content.decode()
        assert client.get("/sign-on/").status_code == 404


def test_passwords_stay_for_a_setting(client: Client, provider: Provider) -> None:
    User.objects.create_superuser("root", password="analytical")
    given = {"username": "root", "password": "analytical"}
    assert client.post("/api/token/", given, content_type="application/json").status_code == 200
    with override_settings(PASSWORD_SIGN_IN=False, AUTHENTICATION_BACKENDS=[AXES, NO_PASSWORDS]):
        other = Client()
        assert other.get("/admin/login/?next=/admin/")["Location"] == "/sign-on/?next=%2Fadmin%2F"
        assert other.post("/api/token/", given, content_type="application/json").status_code == 400
        assert sign_on(other, provider).status_code == 302
        assert other.get("/admin/saga/sagainstance/").status_code == 200


@pytest.fixture(autouse=True)
def fresh() -> None:
    assert settings.OIDC_ISSUER == ""
    make_provider.cache_clear()
