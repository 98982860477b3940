"""Who may act on flows and pauses: the pages ask for the permission of each verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest

from celery_config.saga.operations.permissions import PERMISSIONS


def permit(verb: str) -> Callable[..., bool]:
    """Return what an admin asks before an action with the permission of this verb."""

    def has_permission(self: Any, request: HttpRequest, _: Any = None) -> bool:
        return request.user.has_perm(PERMISSIONS[verb])

    return has_permission


class FlowPermissions:
    """The permissions of the verbs on flows, by the names of their actions."""

    has_retry_permission = permit("retry")
    has_compensate_permission = permit("compensate")
    has_resume_permission = permit("resume")
    has_take_over_permission = permit("take over")
    has_settle_by_hand_permission = permit("settle by hand")
    has_hold_permission = permit("hold")
    has_look_now_permission = permit("look now")
    has_deadline_permission = permit("deadline")

    def is_permitted(self, action_name: str, request: HttpRequest) -> bool:
        """Whether the user may take the action with this name."""
        return bool(getattr(self, f"has_{action_name}_permission")(request))
