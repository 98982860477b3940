"""Sign-on at a provider of OpenID Connect: it says who a person is, and in which groups.

Authlib sends the person there and checks what comes back: state, nonce, code challenge, and the ID token's signature,
issuer, audience and times. Without `OIDC_ISSUER` there is no sign-on.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import structlog
from authlib.integrations.django_client import OAuth, OAuthError
from django.conf import settings
from django.contrib.auth import login
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from joserfc.errors import JoseError
from requests import RequestException
from rest_framework import status

from celery_config.http.id_tokens import ALGORITHMS, LEEWAY, expect_claims
from celery_config.web.client_addresses import read_address
from celery_config.web.sign_on_accounts import SignOnRefused, find_account, read_person

log = structlog.get_logger(__name__)
SECONDS = 10.0
"""Limit of one call of the provider."""
NEXT, HOME = "sign_on_next", "admin:index"
STATE = "_state_provider_"
"""What the names begin with under which Authlib keeps what belongs to a sign-on."""
MOST_AT_ONCE, LONGEST_NEXT = 3, 500
"""Sign-ons that one browser may have begun, and the characters of where one leads: a cookie has at most 4 kB."""
MOST_ASKING = 4
places = threading.BoundedSemaphore(MOST_ASKING)
"""Sign-ons that ask the provider at one time, in a web process."""
MINUTES = 30
"""For a sign-on at the provider."""


class ProviderBusy(RequestException):
    """Too many sign-ons wait for the provider."""


# Authlib raises RuntimeError when the provider does not say where its keys are.
FAULTS = (OAuthError, JoseError, RequestException, SignOnRefused, RuntimeError, ValueError)


@lru_cache(maxsize=8)
def make_provider(issuer: str, client: str, secret: str, scope: str) -> Any:
    """Return the client of a provider, which reads the provider's addresses and keys once."""
    return OAuth().register(
        "provider",
        client_id=client,
        client_secret=secret,
        server_metadata_url=f"{issuer}/.well-known/openid-configuration",
        client_kwargs={"scope": scope, "code_challenge_method": "S256", "default_timeout": SECONDS},
    )


def find_provider() -> Any:
    """
    Raises:
        Http404: there is no sign-on.
    """
    if not settings.OIDC_ISSUER:
        raise Http404
    return make_provider(
        settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET, settings.OIDC_SCOPE
    )


@never_cache
@require_safe
def begin_sign_on(request: HttpRequest) -> HttpResponse:
    """Send the person to the provider."""
    provider, after, asking = find_provider(), request.GET.get("next", ""), open_store(request)
    is_ours = url_has_allowed_host_and_scheme(after, {request.get_host()}, require_https=request.is_secure())
    asking.session[NEXT] = after if is_ours and len(after) <= LONGEST_NEXT else reverse(HOME)
    try:
        with take_place():
            answer: HttpResponse = provider.authorize_redirect(
                asking, request.build_absolute_uri(reverse("sign-on-end"))
            )
    except FAULTS as error:
        return refuse(request, error)
    close_store(asking.session, answer)
    return answer


@never_cache
@require_safe
def end_sign_on(request: HttpRequest) -> HttpResponse:
    """Take the person in whom the provider sends back; their groups are those that it names."""
    provider, asking = find_provider(), open_store(request)
    after = asking.session.get(NEXT, "") or reverse(HOME)
    try:
        with take_place():
            claims = fetch_claims(provider, asking)
        user = find_account(read_person(claims))
    except FAULTS as error:
        return refuse(request, error)
    login(request, user, backend=settings.AUTHENTICATION_BACKENDS[-1])
    log.info("a person signed on", user=user.get_username(), address=read_address(request))
    answer = redirect(after)
    close_store(asking.session, answer)
    return answer


@contextmanager
def take_place() -> Iterator[None]:
    """Ask the provider within the block.

    Raises:
        ProviderBusy: so many ask it already that a provider which hangs would take all threads of the web.
    """
    if not places.acquire(blocking=False):
        raise ProviderBusy("enough sign-ons wait for it")
    try:
        yield
    finally:
        places.release()


def open_store(request: HttpRequest) -> Any:
    """Return the request as Authlib sees it: what it keeps until the end stands in a signed cookie of the browser.

    In the session each visit of a stranger would write a row.
    """
    asking: Any = copy.copy(request)
    asking.session = SessionStore(request.COOKIES.get(name_cookie()))
    return asking


def close_store(store: SessionStore, answer: HttpResponse) -> None:
    """Give the browser what the last sign-ons need that have not ended."""
    names = [name for name in store.keys() if name.startswith(STATE)]  # noqa: SIM118 - it is no dict
    begun = sorted(names, key=lambda name: store[name]["exp"])
    for name in begun[:-MOST_AT_ONCE]:
        del store[name]
    for name in begun[-MOST_AT_ONCE:]:
        store[name]["data"].pop("url", None)  # it is long, and the browser goes there now
    store.save()
    answer.set_cookie(
        name_cookie(), store.session_key or "", max_age=60 * MINUTES, httponly=True, samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )  # fmt: skip


def name_cookie() -> str:
    return f"{settings.SESSION_COOKIE_NAME}_sign_on"


def fetch_claims(provider: Any, request: HttpRequest) -> dict[str, Any]:
    """Return what a checked ID token says.

    Raises:
        OAuthError, JoseError: something does not fit, such as the state, the nonce or the signature.
        RequestException: the provider does not answer.
        SignOnRefused: it sent no ID token.
    """
    metadata = provider.load_server_metadata()
    offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
    metadata["id_token_signing_alg_values_supported"] = [each for each in offered if each in ALGORITHMS]
    expected = expect_claims(settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID)
    token = provider.authorize_access_token(request, claims_options=expected, leeway=LEEWAY)
    if not token.get("userinfo"):
        raise SignOnRefused("the provider did not say who you are")
    return {**token["userinfo"]}


def refuse(request: HttpRequest, error: Exception) -> HttpResponse:
    """Answer that the sign-on failed; the log says why, and the page where a person can do something about it."""
    log.warning("a sign-on failed", address=read_address(request), error=f"{type(error).__name__}: {error}")
    is_away = isinstance(error, RequestException)
    why = "the provider does not answer" if is_away else "what the provider sent back is not valid"
    code = status.HTTP_503_SERVICE_UNAVAILABLE if is_away else status.HTTP_403_FORBIDDEN
    shown = {"why": str(error) if isinstance(error, SignOnRefused) else why, "again": reverse("sign-on")}
    return render(request, "order_saga/sign_on_failed.html", shown, status=code)
