"""Authentication: people use a token of their own; each other service, and the operator, uses the one of its name."""

from __future__ import annotations

from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db.models import F, QuerySet
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from celery_config.common.service_calls import find_scope, name_caller
from celery_config.db.functions import cached_sql, parse_time
from celery_config.web.client_addresses import read_address
from celery_config.web.models import UserToken
from celery_config.web.tokens import note_use

log = structlog.get_logger(__name__)


class UserTokenAuthentication(TokenAuthentication):
    """Knox's own with one cached statement: every request needs it, and building it took as long as running it."""

    def authenticate_credentials(self, token: bytes) -> tuple[Any, UserToken]:
        """
        Raises:
            AuthenticationFailed: no user has this token, it has expired, or the user is inactive.
        """
        statement, _ = users_with_token("")
        try:
            digest = hash_token(token.decode())
        except UnicodeError as error:
            raise AuthenticationFailed("Invalid token.") from error
        user: Any = next(iter(get_user_model().objects.raw(statement, [digest])), None)
        now = timezone.now()
        if user is None or (user.token_expiry is not None and parse_time(user.token_expiry) <= now):
            raise AuthenticationFailed("Invalid token.")
        if not user.is_active:
            raise AuthenticationFailed("User inactive or deleted.")
        used_at = parse_time(user.token_used_at) if user.token_used_at is not None else None
        found = UserToken(id=UserToken._meta.pk.to_python(user.token_id), user=user, used_at=used_at)
        note_use(found, now)
        return user, found


@cached_sql
def users_with_token(digest: str) -> QuerySet[Any, Any]:
    """The statement is built once, with the digest `""`, and used for every token."""
    of_token = {f"token_{name}": F(f"auth_token_set__{name}") for name in ("id", "expiry", "used_at")}
    return get_user_model().objects.filter(auth_token_set__digest=digest).annotate(**of_token)


class ServiceUser(AnonymousUser):
    """A service, or the operator, by its token: it may make the calls of its scope, and has no row in the database."""

    is_staff = True  # type: ignore[assignment]

    def __init__(self, caller: str) -> None:
        super().__init__()
        self.caller = caller
        self.username = name_caller(caller)  # type: ignore[assignment]
        self.scope = find_scope(settings.SERVICE, caller)

    @property
    def is_authenticated(self) -> bool:  # type: ignore[override]
        return True

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Within a call of its scope nothing else is asked."""
        return True

    def may_call(self, method: str, name: str) -> bool:
        """Whether the scope has this method of the address with this name."""
        return f"{method} {name}" in self.scope


class ServiceAuthentication(BaseAuthentication):
    """`Authorization: Bearer <the caller's token for this service>`."""

    def authenticate(self, request: Request) -> tuple[ServiceUser, Any] | None:
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        caller = settings.SERVICE_TOKENS.find_caller(token.strip())
        if caller is None:
            log.warning("a service token is wrong", address=read_address(request._request))
            raise AuthenticationFailed("The service token is wrong.", code="invalid_service_token")
        return ServiceUser(caller), None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class ServiceAuthenticationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = ServiceAuthentication
    name = "serviceToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class UserTokenAuthenticationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = UserTokenAuthentication
    name = "tokenAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        description = 'Token-based authentication with required prefix "Token"'
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": description}
