"""The rules of docs/protocol.md by number, with the name under which pages and code mention them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

PAGE = Path(__file__).resolve().parent / "protocol.md"


@cache
def read_names() -> dict[int, str]:
    """Return the names as they stand in a sentence, such as "the fence", by number."""
    heads = re.findall(r"^(\d+)\. \*\*(.+?)\.?\*\*", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {int(number): name if name[1].isupper() else name[0].lower() + name[1:] for number, name in heads}


def name_rules(text: str) -> str:
    """Return `text` with its name behind each "rule N"."""
    return re.sub(r"\brule (\d+)\b", lambda found: f"{found[0]}, {read_names()[int(found[1])]}", text)
