"""The pictures of the pages: who shows each, its size, and the files from which its words come. Pure."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "pictures"
WORDS = FOLDER / "words.json"
"""The words that each picture shows, by its file."""

STILL_BYTES, FILM_BYTES = 200_000, 1_500_000
FILM_SECONDS = (8, 15)

STRIP = "celery_config/saga/operations/strip.py"
STATUS = "celery_config/saga/operations/wording.py"
DESK = ("order_project/templates/desk", "order_project/desk", "order_project/sagas", STRIP, STATUS)
SAGA = (
    "celery_config/saga/templates/saga", "celery_config/saga/operations", "celery_config/saga/admin",
    "celery_config/saga/causes.py",
)  # fmt: skip
BOARD = (
    "celery_config/web/templates/order_saga", "celery_config/saga/admin", "celery_config/saga/operations",
    "celery_config/common/labels.py", "celery_config/notifications/board.py", "order_project/board.py",
    "order_project/proof/board.py",
)  # fmt: skip
SUPPORT = ("order_project/templates/support", "order_project/support", *SAGA)


@dataclass(frozen=True)
class Picture:
    """A picture of a page of the system.

    Args:
        file: its name in `docs/pictures`.
        pages: those that show it.
        size: width and height of the window, in pixels of the page.
        sources: files and folders whose texts the page shows.
        words: what must be seen, or the page is not the one that is meant.
        scale: pixels of the picture for a pixel of the page.
        most_bytes: how large the file may be.
    """

    file: str
    pages: tuple[str, ...]
    size: tuple[int, int]
    sources: tuple[str, ...]
    words: frozenset[str]
    scale: int = 1
    most_bytes: int = STILL_BYTES

    @property
    def path(self) -> Path:
        return FOLDER / self.file

    @property
    def pixels(self) -> tuple[int, int]:
        return self.size[0] * self.scale, self.size[1] * self.scale


FILM = Picture(
    "order-desk-moving.webp", ("README.md",), (1024, 688), DESK,
    frozenset({"Place", "Cancel", "calling now", "done", "undoing now", "undone", "not yet"}),
    most_bytes=FILM_BYTES,
)  # fmt: skip
DESK_STILL = Picture(
    "order-desk.webp", ("README.md", "docs/quickstart.md"), FILM.size, DESK,
    frozenset({"done", "undone", "undoing now"}),
)  # fmt: skip
PHONE = Picture(
    "order-desk-phone.webp",
    ("docs/quickstart.md",),
    (390, 844),
    DESK,
    frozenset({"undone", "done"}),
    scale=2,
)
BOARD_STILL = Picture(
    "board.webp", ("docs/how-to/operators-card.md",), (1280, 1920), BOARD,
    frozenset({"For somebody to decide", "Incidents", "Proof", "Held", "Open batches"}),
)  # fmt: skip
PARKED = Picture(
    "parked-saga.webp",
    ("docs/how-to/operate.md",),
    (1024, 800),
    SAGA,
    frozenset({"held", "undone", "refused"}),
)
SUPPORT_STILL = Picture(
    "support.webp", ("docs/how-to/operate.md",), (1024, 664), SUPPORT, frozenset({"Was I charged?"})
)
STILLS = (DESK_STILL, PHONE, BOARD_STILL, PARKED, SUPPORT_STILL)
PICTURES = (FILM, *STILLS)


def read_words() -> Mapping[str, list[str]]:
    """Return the words that each picture showed when it was made."""
    found: dict[str, list[str]] = json.loads(WORDS.read_text(encoding="utf-8"))
    return found


def write_words(words: Mapping[str, Iterable[str]]) -> None:
    found = {file: sorted(each) for file, each in words.items()}
    WORDS.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def find_texts(picture: Picture) -> frozenset[str]:
    """Return the texts that the picture's sources have."""
    return frozenset().union(*(read_texts(path) for source in picture.sources for path in list_files(source)))


def list_files(source: str) -> Iterable[Path]:
    path = ROOT / source
    return (each for end in ("html", "py") for each in path.rglob(f"*.{end}")) if path.is_dir() else (path,)


@cache
def read_texts(path: Path) -> frozenset[str]:
    """Return each text of a template between its tags or in quotes, or each string of a module."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        nodes = ast.walk(ast.parse(source))
        texts = [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    else:
        texts = [
            *re.split(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<[^>]*>", source),
            *re.findall(r'"([^"]*)"', source),
        ]
    return frozenset(" ".join(text.split()) for text in texts)


def find_stale(words: Collection[str], texts: Collection[str]) -> list[str]:
    """Return the words of a picture that no source has any more."""
    return sorted(set(words) - set(texts))
