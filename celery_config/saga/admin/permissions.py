"""Who may act on flows, batches and pauses."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


class ActPermission:
    """The permission `act` of an admin: those with `change_sagainstance` have it; no user edits a row."""

    def has_act_permission(self, request: HttpRequest, _: Any = None) -> bool:
        return request.user.has_perm("saga.change_sagainstance")
