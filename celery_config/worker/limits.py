"""TODO."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
MOST, CALLS = 100, 64
"""How many messages a batch has, and how many calls to the outside are under way at once: together the full window."""
