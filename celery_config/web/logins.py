"""Logins: failures are counted in the database, so for all processes at once, and too many lock for a while.

`LOGIN_FAILURES` of one name from one address lock that name for that address. An address is locked for all names, and a
name for all addresses, only after several times as many: others can still log in.
"""

from __future__ import annotations

from typing import Any

import structlog
from axes.handlers.database import AxesDatabaseHandler
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.crypto import salted_hmac
from rest_framework import status

from celery_config.web.client_addresses import read_address
from celery_config.web.error_pages import is_api, respond
from celery_config.web.problems import ApiError
from celery_config.web.text import has_unstorable_text, make_printable

log = structlog.get_logger(__name__)

COUNTED_BY = [["username", "ip_address"], "ip_address", "username"]
SHARES = (1, 10, 5)
"""How many times as many failures lock, in the order of `COUNTED_BY`."""
LOCKED = "Too many logins failed, with this name or from this address. Wait as long as Retry-After says."


class LoginFailures(AxesDatabaseHandler):
    """Axes' table of failures, read with a limit for each way of counting."""

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """How near the nearest limit is, in failures of one name from one address."""
        counts = [
            attempts.aggregate(sum=Sum("failures_since_start"))["sum"] or 0
            for attempts in self.get_user_attempts(request, credentials)
        ]
        return max(count // share for count, share in zip(counts, SHARES, strict=True))

    def reset_user_attempts(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """A login forgives this name at this address, and not what else came from there."""
        deleted: int = self.filter_user_attempts(request, credentials)[0].delete()[0]
        return deleted

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
    ) -> None:
        super().user_login_failed(sender, credentials, request, **kwargs)
        if request is not None:
            log.warning(
                "a login failed",
                user=read_name(request, credentials),
                address=read_address(request),
                path=make_printable(request.path_info),
                is_locked=getattr(request, "axes_locked_out", False),
            )


def read_name(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str:
    """The user's name; for a name that no user has a hash of it, since people type passwords there."""
    name = str((credentials or {}).get("username") or "")
    known = get_user_model().objects
    if name and not has_unstorable_text(name) and known.filter(username=name).exists():
        return name
    return f"unknown {salted_hmac('login', make_printable(name)).hexdigest()[:16]}"


def refuse_login(
    request: HttpRequest, response: HttpResponse | None = None, credentials: dict[str, Any] | None = None
) -> HttpResponse:
    """The answer while a lock lasts, right passwords included."""
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    if is_api(request):
        answer = respond(ApiError(LOCKED, status_code=status.HTTP_429_TOO_MANY_REQUESTS, code="login_locked"))
    else:
        answer = render(
            request, "429.html", {"minutes": -(-seconds // 60)}, status=status.HTTP_429_TOO_MANY_REQUESTS
        )
    answer["Retry-After"] = str(seconds)
    return answer
