"""Generated parts of files: each stands between two comments, the first of which names the part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from celery_config.errors import DefinitionError

Parts = Mapping[str, Iterable[str]]
"""The lines of each part of a file, by its name."""
PART = re.compile(r"(?ms)^(?P<indent>[ ]*)# services: (?P<name>[^\n]+)\n.*?^[ ]*# end of services\n")


def fill(file: Path, parts: Parts) -> str:
    """Return the text of a file with its parts filled.

    Raises:
        DefinitionError: the file lacks one of them, or has another.
    """
    text = file.read_text(encoding="utf-8")
    found = [match["name"] for match in PART.finditer(text)]
    if sorted(found) != sorted(parts):
        raise DefinitionError(f"{file.name} has the parts {sorted(found)}, and wants {sorted(parts)}")

    def write(match: re.Match[str]) -> str:
        indent, name = match["indent"], match["name"]
        lines = [f"# services: {name}", *parts[name], "# end of services"]
        return "".join(f"{indent}{line}".rstrip() + "\n" for line in lines)

    return PART.sub(write, text)
