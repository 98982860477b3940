"""Who may do what over the API, where being staff is not enough."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from celery_config.web.authentication import ServiceUser


class IsService(BasePermission):
    """Another service, proven by our service token; no human, whatever they may do elsewhere."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, ServiceUser)


def require_permission(name: str) -> type[BasePermission]:
    """Return the DRF permission class for who holds Django's permission `name`, and for services."""

    class MayDo(BasePermission):
        def has_permission(self, request: Request, view: Any) -> bool:
            user = request.user
            return isinstance(user, ServiceUser) or bool(user and user.has_perm(name))

    return MayDo
