"""Permissions of API views that require more than a staff account."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from celery_config.web.authentication import ServiceUser


class IsService(BasePermission):
    """Only another service, identified by our service token; no person, whatever permissions they have."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, ServiceUser)


def require_permission(name: str) -> type[BasePermission]:
    """Return a DRF permission class for services and for users with Django's permission `name`."""

    class HasPermission(BasePermission):
        def has_permission(self, request: Request, view: Any) -> bool:
            user = request.user
            return isinstance(user, ServiceUser) or bool(user and user.has_perm(name))

    return HasPermission
