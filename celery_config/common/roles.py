"""The groups that are shipped with every service, and what they may do in each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """The shipped groups, by their names; every service has each."""

    READER = "reader"  # sees everything, other people's accounts excepted, and changes nothing
    SUPPORT = "support"  # answers customers: cancels, gives money back, keeps notes
    OPERATOR = "operator"  # brings what stands to its end
    CATALOGUE = "catalogue"  # products, prices and stock
    FINANCE = "finance"  # the books, and money that is given back


Groups = Mapping[Role, tuple[str, ...]]
"""The permissions of each shipped group in one service, as `app.codename`."""
SEES_MESSAGES = (
    "messaging.view_barrierrow", "messaging.view_contradiction", "messaging.view_idempotencykey",
    "messaging.view_inboxentry", "messaging.view_outboxmessage", "copies.view_copystate", "copies.view_tombstone",
    "erasure.view_forgotten", "api.view_changerecord",
)  # fmt: skip
"""What a reader sees in every service."""
MENDS_MESSAGES = ("messaging.change_outboxmessage", "messaging.change_contradiction")
"""What an operator does in every service."""


def list_roles(theirs: Any, groups: Mapping[str, Role]) -> frozenset[Role]:
    """Return the shipped groups that a claim of groups stands for.

    Args:
        theirs: a name, or a list of them; anything else names none.
    """
    named = [theirs] if isinstance(theirs, str) else theirs if isinstance(theirs, list) else []
    return frozenset(groups[each] for each in named if isinstance(each, str) and each in groups)
