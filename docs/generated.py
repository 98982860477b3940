"""Generated parts of pages: each stands between two marks, the first of which names the command that writes it."""

from __future__ import annotations

from pathlib import Path

END = "<!-- end -->"


def replace_part(page: Path, command: str, part: str) -> str:
    """Return the text of `page` with what `command` generates replaced by `part`."""
    begin = f"<!-- begin: {command} -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(END)
    return f"{before}{begin}\n{part}{END}{after}"
