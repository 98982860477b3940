"""Fingerprints: dead letters with one task and one fault are one group, whatever ids and values they name. Pure."""

from __future__ import annotations

import hashlib
import re

from celery_config.contracts.privacy import QUOTED

OWN = re.compile(
    QUOTED.pattern
    + r"""|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{16,}\b|\d+(?:[.,]\d+)*""",
    re.IGNORECASE,
)
"""Quoted values, ids and numbers. What stands in backticks names a field or a type: it is a part of the fault."""
FINGERPRINT_LENGTH = 16


def generalise(text: str) -> str:
    """Return a fault without what is a single message's own."""
    return OWN.sub("…", text)


def find_fingerprint(task: str, fault: str) -> str:
    """Return the name of the group; `fault` is generalised."""
    return hashlib.sha256(f"{task}\n{fault}".encode()).hexdigest()[:FINGERPRINT_LENGTH]
