"""Who may make a call: a service by its scope, a person by Django's permissions, as on the admin pages.

A view names what each of its methods needs in `needs`; a view with a `queryset` needs by default what its table's admin
page needs. What is named nowhere is for services alone. `docs/reference/permissions.md` has the whole table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from django.db.models import Model
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from celery_config.web.authentication import ServiceUser

log = structlog.get_logger(__name__)

Needs = Mapping[str, tuple[str, ...]]
"""The permissions that each method needs."""

ACTS = {"GET": "view", "POST": "add", "PUT": "change", "PATCH": "change", "DELETE": "delete"}
ANY_USER = "any user"
"""In place of a permission: everybody with a login, who sees and changes what is their own."""


class OutOfScope(PermissionDenied):
    """403: a service makes a call that is not in its scope."""

    default_code = "out_of_scope"


class CallPermission(BasePermission):
    """A service's call within its scope; a staff account with the permissions that the method needs."""

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        if not (user and user.is_authenticated):
            return False
        methods = asked_methods(request.method or "", view)
        if not methods:  # the answer is 405
            return True
        if isinstance(user, ServiceUser):
            name = request.resolver_match.url_name if request.resolver_match else ""
            if any(user.may_call(method, name or "") for method in methods):
                return True
            log.warning(
                "a service called out of its scope", caller=user.get_username(), call=f"{methods[0]} {name}"
            )
            raise OutOfScope(f"{user.get_username()} may not call {methods[0]} {name} here.")
        needs = find_needs(view)
        lacking = [find_lacking(user, needs.get(method)) for method in methods]
        if any(lack is None for lack in lacking):
            return True
        raise PermissionDenied(next(filter(None, lacking)))


def asked_methods(method: str, view: Any) -> list[str]:
    """The methods of the view of which one has to be allowed; none if the view has no such method."""
    allowed = [each for each in view.allowed_methods if each in ACTS]
    if method == "OPTIONS":
        return allowed
    method = "GET" if method == "HEAD" else method
    return [method] if method in allowed else []


def find_needs(view: Any) -> Needs:
    """What each method of a view needs; a method that is not there is for services alone."""
    queryset = getattr(view, "queryset", None)
    by_table = find_table_needs(queryset.model) if queryset is not None else {}
    return {**by_table, **getattr(view, "needs", {})}


def find_table_needs(model: type[Model]) -> Needs:
    """What the methods of a view of this table need."""
    return {method: (name_permission(act, model),) for method, act in ACTS.items()}


def name_permission(act: str, model: type[Model]) -> str:
    """The name of Django's permission to `view`, `add`, `change` or `delete` rows of a table."""
    return f"{model._meta.app_label}.{act}_{model._meta.model_name}"


def find_lacking(user: Any, needed: tuple[str, ...] | None) -> str | None:
    """Say what a person lacks for a call; None if nothing."""
    if needed is None:
        return "This is for other services alone."
    if needed == (ANY_USER,) or may(user, *needed):
        return None
    return f"You need the permission {' and '.join(needed)}, and a staff account."


def check_permissions(user: Any, *permissions: str) -> None:
    """
    Raises:
        PermissionDenied: the user lacks one of these; the text says which are needed.
    """
    if lacking := find_lacking(user, permissions):
        raise PermissionDenied(lacking)


def may(user: Any, *permissions: str) -> bool:
    """Whether a staff account has all these permissions; a service within its scope has."""
    return bool(user.is_staff and user.has_perms(permissions))
