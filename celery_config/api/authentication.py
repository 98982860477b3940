"""How one service, the audit or the importer proves itself to another."""

from __future__ import annotations

import hmac
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request


class ServiceUser(AnonymousUser):
    """Whoever holds the service token: may do what staff may do in the API; has no row and no admin."""

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
