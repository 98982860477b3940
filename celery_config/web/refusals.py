"""Refusals: the problem details that a method of a view can answer, derived from what the view is.

A view adds its own in `refusals`, by method: the errors that it raises, or a `Refusal` where the code comes from
elsewhere. Those of its base classes hold, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rest_framework import exceptions, status
from rest_framework.permissions import SAFE_METHODS

from celery_config.errors import StateContradicted
from celery_config.web.error_pages import BodyTooLarge, EncodingNotTaken
from celery_config.web.idempotency_keys import KeyGone, KeyInFlight, KeyReused, KeyUse, find_key_use
from celery_config.web.permissions import OutOfScope
from celery_config.web.problems import ANSWERS, Busy, DatabaseReadOnly

ANY_CODE = "*"
"""In place of a code: a participant or provider names it."""


@dataclass(frozen=True, order=True)
class Refusal:
    """A problem's status and code."""

    status: int
    code: str


Refusals = Mapping[str, Iterable[type[Exception] | Refusal]]
"""What each method of a view refuses besides what is derived."""

INVALID = Refusal(status.HTTP_400_BAD_REQUEST, "invalid")
EVERYWHERE = (
    Refusal(status.HTTP_400_BAD_REQUEST, "bad_request"),
    Refusal(status.HTTP_400_BAD_REQUEST, "host_not_allowed"),
    Refusal(status.HTTP_403_FORBIDDEN, "https_required"),
    exceptions.NotAcceptable,
    Busy,
    DatabaseReadOnly,
)
WITHOUT_LOGIN = (
    exceptions.NotAuthenticated,
    exceptions.AuthenticationFailed,
    Refusal(status.HTTP_401_UNAUTHORIZED, "invalid_service_token"),
)
OF_A_BODY = (exceptions.ParseError, BodyTooLarge, exceptions.UnsupportedMediaType, EncodingNotTaken)


def find_refusals(view: Any, method: str, *, has_parameters: bool, has_id: bool) -> list[Refusal]:
    """Return every refusal of a method, sorted.

    Args:
        view: an instance.
        has_parameters: whether a query, header or body can be wrong.
        has_id: whether its address names one thing.
    """
    found = [*derive_refusals(view, method, has_parameters=has_parameters, has_id=has_id)]
    return sorted({describe_refusal(each) for each in [*found, *list_own_refusals(view, method)]})


def derive_refusals(
    view: Any, method: str, *, has_parameters: bool, has_id: bool
) -> Iterator[type[Exception] | Refusal]:
    yield from EVERYWHERE
    if has_parameters or method not in SAFE_METHODS:
        yield INVALID
    if method not in SAFE_METHODS:
        yield from OF_A_BODY
    if view.get_authenticators():
        yield from WITHOUT_LOGIN
        yield exceptions.PermissionDenied  # CSRF, with the cookie
    if view.get_permissions():
        yield from (exceptions.PermissionDenied, OutOfScope)
    if has_id:
        yield exceptions.NotFound
    if getattr(view, "throttle_scope", None):
        yield exceptions.Throttled
    if find_key_use(type(view), method)[0] is KeyUse.TAKEN:
        yield from (KeyInFlight, KeyGone, KeyReused)


def list_own_refusals(view: Any, method: str) -> Iterator[type[Exception] | Refusal]:
    """Yield what the view and its base classes declare."""
    for base in type(view).__mro__:
        own = vars(base).get("refusals", {})
        declared: Refusals = own.__get__(view) if isinstance(own, property) else own
        yield from declared.get(method, ())


def describe_refusal(error: type[Exception] | Refusal) -> Refusal:
    """Return the status and code with which an error is answered."""
    if isinstance(error, Refusal):
        return error
    if answer := ANSWERS.get(error):
        return Refusal(answer["status_code"], answer["code"])
    if issubclass(error, StateContradicted):
        return Refusal(status.HTTP_409_CONFLICT, error.code)
    assert issubclass(error, exceptions.APIException), error
    return Refusal(error.status_code, error.default_code)
