"""Another service, the audit, the importer or a person: whichever may make a call."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.urls import Resolver404, resolve
from rest_framework.test import APIClient

from celery_config.common.service_calls import CALLS, OPERATOR


def bearer(caller: str) -> str:
    """The Authorization header of a caller of this service."""
    return f"Bearer {settings.SERVICE_TOKENS.find_token(settings.SERVICE_TOKENS.service, caller)}"


def find_caller(method: str, path: str) -> str | None:
    """The operator or else a service that may make this call; the operator for addresses that do not exist."""
    try:
        name = resolve(path).url_name or ""
    except Resolver404:
        return OPERATOR
    method = "GET" if method == "HEAD" else method
    callers = CALLS[settings.SERVICE]
    able = [caller for caller in (OPERATOR, *callers) if f"{method} {name}" in callers[caller]]
    return next(iter(able), None)


class Peer(APIClient):
    """Makes each call as the one who may: the operator, a service, or an administrator."""

    def request(self, **kwargs: Any) -> Any:
        caller = find_caller(kwargs["REQUEST_METHOD"], kwargs["PATH_INFO"])
        if caller:
            kwargs.setdefault("HTTP_AUTHORIZATION", bearer(caller))
        else:
            user, _ = get_user_model().objects.get_or_create(
                username="operator", defaults={"is_staff": True, "is_superuser": True}
            )
            self.handler._force_user = user
        try:
            return super().request(**kwargs)
        finally:
            self.handler._force_user = None
