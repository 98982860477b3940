"""Files, folders and modules that docstrings, comments and pages name exist: a rename leaves no stale text behind."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from tests.unit.docs.test_pages import CODE, PAGES, ROOT

SOURCES = sorted(
    path for package in [*CODE, "docs", "tests"] for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts and "__pycache__" not in path.parts
)  # fmt: skip
FILE = re.compile(r"(?<![\w./:*<>{}-])[\w.{},-]+(?:/[\w.{},-]+)*\.(?:py|md|yaml|toml|html|css|js)\b(?![/(])")
FOLDER = re.compile(rf"(?<![\w./])(?:{'|'.join([*CODE, 'docs', 'tests'])})(?:/[\w-]+)+/?(?![\w./*<{{-])")
MODULE = re.compile(rf"(?<![\w./@-])(?:{'|'.join(CODE)})(?:\.[A-Za-z_]\w*)+(?![\w/*<{{(-])")
EXAMPLES = {"x.py", "test_x.py"}


@cache
def existing() -> frozenset[str]:
    """The files of the project, by path."""
    folders = [ROOT / name for name in (*CODE, "docs", "tests")]
    found = [*ROOT.glob("*"), *(path for folder in folders for path in folder.rglob("*"))]
    return frozenset(path.relative_to(ROOT).as_posix() for path in found if path.is_file())


@cache
def endings() -> frozenset[str]:
    """Every ending of a path, from the file's name to the whole path."""
    paths = [name.split("/") for name in existing()]
    return frozenset("/".join(parts[n:]) for parts in paths for n in range(len(parts)))


def expand_braces(name: str) -> Iterator[str]:
    """Each name that a name with alternatives in braces stands for."""
    pieces = re.split(r"\{([\w,]+)\}", name)
    yield from map(
        "".join, product(*(piece.split(",") if n % 2 else [piece] for n, piece in enumerate(pieces)))
    )


def stale_names(text: str) -> set[str]:
    """The files, folders and modules that `text` names and that do not exist."""
    files = {
        each
        for name in FILE.findall(text)
        for each in expand_braces(re.sub(r"^(\.*/)+", "", name.strip(",")))
    }
    stale = {name for name in files if name not in endings() and name not in EXAMPLES}
    stale |= {name for name in FOLDER.findall(text) if not (ROOT / name).exists() and not is_file(name)}
    return stale | {name for name in MODULE.findall(text) if not is_importable(name)}


EXAMPLE = re.compile(r"\b(hotel|hotel_app|test_stay|stay)\b")
"""What the commands make that the pages show: a service and a flow."""


def is_file(name: str) -> bool:
    return any(each.startswith(f"{name}.") for each in existing())


def is_importable(name: str) -> bool:
    """Whether it is a module, a package, or a name that occurs in one."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        base = ROOT.joinpath(*parts[:n])
        for file in (base.with_suffix(".py"), base / "__init__.py"):
            if file.is_file():
                rest = parts[n : n + 1]
                return not rest or re.search(rf"\b{rest[0]}\b", file.read_text(encoding="utf-8")) is not None
        if base.is_dir():
            return n == len(parts)
    return False


def read_prose(path: Path) -> str:
    """The comments and docstrings of a module, or a page without its code blocks and links."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return re.sub(r"```.*?```|\]\([^)]*\)", "", source, flags=re.DOTALL)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    strings = [
        node.value.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    return "\n".join([*comments, *strings])


@pytest.mark.parametrize(
    "path",
    [*SOURCES, *(page for page in PAGES if page.name != "CHANGELOG.md")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_what_a_text_names_exists(path: Path) -> None:
    prose = read_prose(path)
    made = set(re.findall(r"Create `([^`]+)`", prose)) | {"compose/.env", "compose/secrets/order_secret_key"}
    stale = {name for name in stale_names(prose) if not any(name in each for each in made)}
    assert {name for name in stale if not EXAMPLE.search(name)} == set()


def test_a_stale_name_is_found() -> None:
    text = "as saga/engine/{runner,walker}.py and celery_config.saga.engine.runners do; see compose/locals/"
    assert stale_names(text) == {
        "saga/engine/walker.py",
        "celery_config.saga.engine.runners",
        "compose/locals/",
    }
