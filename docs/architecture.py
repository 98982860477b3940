"""`./manage.py architecture`: the map of the code, made from its imports and the first lines of its packages."""

from __future__ import annotations

import argparse
import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from celery_config.common.services import ORCHESTRATOR, PACKAGES, SERVICES
from docs.generated import replace_part

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
SHARED, ORDER = "celery_config", SERVICES[ORCHESTRATOR].package
LAYERS = f"Imports go down: each floor of {SHARED} knows only what stands below it"
PARTICIPANTS = [package for package in PACKAGES if package != ORDER]
# Django's own folders, in which no room of ours is.
NO_ROOMS = {"migrations", "management", "commands", "config", "formats", "en_GB"}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./manage.py architecture", description=__doc__)
    parser.add_argument("--mermaid", action="store_true", help="as a diagram")
    parser.add_argument("--write", action="store_true", help=f"all of it into docs/{PAGE.name}")
    options = parser.parse_args(argv)
    if options.write:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        print(draw_mermaid() if options.mermaid else draw_text())
    return 0


def page() -> str:
    """docs/architecture.md with the map as the code has it."""
    map_ = f"```mermaid\n{draw_mermaid()}\n```\n\nThe same as text:\n\n```text\n{draw_text()}\n```\n"
    return replace_part(PAGE, "./manage.py architecture", f"{map_}\n## The rooms\n\n{list_rooms()}\n")


def floors() -> list[list[str]]:
    """The rooms by floor, the highest first: those of the shared code are those that import-linter checks."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = config["tool"]["importlinter"]["contracts"]
    (shared,) = [contract["layers"] for contract in contracts if contract["name"] == LAYERS]
    return [["compose"], [ORDER, *PARTICIPANTS], *(floor.split(" : ") for floor in shared)]


@cache
def read_imports() -> dict[str, set[str]]:
    """The rooms that each room imports."""
    found: dict[str, set[str]] = {}
    for package in (SHARED, *PACKAGES, "compose"):
        for file in (ROOT / package).rglob("*.py"):
            room = find_room(".".join(file.relative_to(ROOT).with_suffix("").parts))
            if room and "migrations" not in file.parts:
                imported = {find_room(name) for name in imported_names(file)}
                found.setdefault(room, set()).update(imported - {room, ""})
    return found


def imported_names(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def find_room(name: str) -> str:
    """The room of a module; empty for what is not ours."""
    package, _, rest = name.partition(".")
    if package == SHARED:
        return rest.partition(".")[0].removeprefix("__init__")
    return package if package in (*PACKAGES, "compose") else ""


def reach(room: str) -> set[str]:
    """The rooms that `room` imports, and all that these import."""
    return read_imports()[room].union(*(reach(each) for each in read_imports()[room]))


def arrows(room: str) -> list[str]:
    """The rooms that `room` imports, without those that it would reach through another."""
    direct = read_imports()[room]
    return sorted(direct.difference(*(reach(each) for each in direct)))


def draw_mermaid() -> str:
    """Rooms as boxes; three participants that import the same are one box."""
    lines = ["flowchart TD"]
    for number, floor in enumerate(floors()):
        lines.append(f'  subgraph floor{number}[" "]')
        lines += [f"    {room}" for room in floor if room not in PARTICIPANTS]
        lines += [f'    participants["{"<br/>".join(PARTICIPANTS)}"]'] if PARTICIPANTS[0] in floor else []
        lines.append("  end")
    for room in (room for floor in floors() for room in floor if room not in PARTICIPANTS):
        lines += [f"  {room} --> {each}" for each in arrows(room)]
    lines += [f"  participants --> {each}" for each in sorted({a for p in PARTICIPANTS for a in arrows(p)})]
    return "\n".join(lines)


def draw_text() -> str:
    """A line for each room, with all rooms that it imports; a blank line between floors."""
    width = max(map(len, read_imports()))
    drawn = []
    for floor in floors():
        lines = [f"{room:{width}}  {' '.join(sorted(read_imports()[room]))}".rstrip() for room in floor]
        drawn.append("\n".join(lines))
    return "\n\n".join(drawn)


def list_rooms() -> str:
    """A table of the rooms, and of the rooms inside them, with the first line of each one's docstring."""
    rows = [f"| `{name}` | {purpose} |" for name, purpose in describe_rooms()]
    return "\n".join(["| room | what it is for |", "|---|---|", *rows])


def describe_rooms() -> Iterator[tuple[str, str]]:
    for room in (room for floor in floors() for room in floor):
        path = ROOT / room if (ROOT / room).exists() else ROOT / SHARED / room
        files = sorted(path.rglob("__init__.py")) if path.is_dir() else [path.with_suffix(".py")]
        for file in files:
            if not NO_ROOMS.intersection(file.parts):
                name = file.parent if file.name == "__init__.py" else file
                doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
                yield str(name.relative_to(ROOT)), doc.partition("\n")[0].replace("|", "\\|")
