"""Addresses to call, made of routes. It needs no settings, so the acceptance tests use it, too."""

from __future__ import annotations

import re
from uuid import UUID

ARGUMENTS = {"uuid": str(UUID(int=7)), "str": "X1", "slug": "x1", "int": "7"}


def make_address(route: str) -> str:
    """An address of the route, as its patterns write it; no row has its key."""
    return "/" + re.sub(r"<(\w+):\w+>", lambda found: ARGUMENTS[found[1]], route)
