"""Authentication: people use a token of their own; other services, the audit and the importer use the service token."""

from __future__ import annotations

import hmac
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, TokenAuthentication, get_authorization_header
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from celery_config.db.functions import cached_sql


class CachedTokenAuthentication(TokenAuthentication):
    """DRF's own with a cached statement: every request needs it, and building it took as long as running it."""

    def authenticate_credentials(self, key: str) -> tuple[Any, Token]:
        """
        Raises:
            AuthenticationFailed: no user has this token, or the user is inactive.
        """
        statement, _ = users_with_token("")
        found = get_user_model().objects.raw(statement, [key])
        user = next(iter(found), None)
        if user is None:
            raise AuthenticationFailed("Invalid token.")
        if not user.is_active:
            raise AuthenticationFailed("User inactive or deleted.")
        return user, Token(key=key, user=user)


@cached_sql
def users_with_token(key: str) -> QuerySet[Any, Any]:
    """The statement is built once, with the key `""`, and used for every key."""
    return get_user_model().objects.filter(auth_token__key=key)


class ServiceUser(AnonymousUser):
    """The holder of the service token: has the API permissions of staff, no row in the database, and no admin."""

    is_staff = True  # type: ignore[assignment]
    username = "service"  # type: ignore[assignment]

    @property
    def is_authenticated(self) -> bool:  # type: ignore[override]
        return True


class ServiceAuthentication(BaseAuthentication):
    """`Authorization: Bearer <the service's SERVICE_TOKEN>`."""

    def authenticate(self, request: Request) -> tuple[ServiceUser, Any] | None:
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        if not hmac.compare_digest(token.strip(), settings.SERVICE_TOKEN.encode()):
            raise AuthenticationFailed("The service token is wrong.", code="invalid_service_token")
        return ServiceUser(), None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class ServiceAuthenticationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = ServiceAuthentication
    name = "serviceToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
