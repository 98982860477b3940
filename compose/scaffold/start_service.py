"""`./manage.py startservice NAME`: a participant with a command, its undo, a table, an admin page and their tests."""

from __future__ import annotations

import argparse
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

from celery_config.common.arguments import parse_port
from celery_config.common.declarations import FILE, check_together, parse_service
from celery_config.common.services import PARTICIPANTS, SERVICES
from celery_config.errors import DefinitionError
from compose.local.environment import ROOT
from compose.local.errors import LocalError
from compose.scaffold.rendering import Files, format_code, make_name_of_class, render_folder, run, write_new

TEMPLATES = Path(__file__).parent / "service"
PERMISSIONS = ROOT / "docs" / "reference" / "permissions.yaml"
ERRORS = PERMISSIONS.with_name("errors.md")
OWN = ("own", "POST /api/facts/")
"""What each service of the shop has, and a new one makes for itself: its part of the home, and its books of orders."""
COLOURS = ("#be123c", "#0e7490", "#a16207", "#6d28d9", "#4d7c0f", "#c2410c", "#1d4ed8")
"""On each, white has a contrast of 4.5 to 1 at least."""
FOLLOWING = (
    ("manage.py", "services", "--write"),
    ("manage.py", "record"),
    ("manage.py", "flows", "--write"),
    ("-m", "docs.permissions_table"),
    ("-m", "docs.messages_table"),
    ("manage.py", "asyncapi", "--write"),
    ("manage.py", "architecture", "--write"),
)
"""What brings up to date the files and pages that name every service."""
DESCRIBED_ERRORS = """
## Of {name}

| code | meaning |
|---|---|
| `too_many_places` | more places are asked for than one booking may have |
"""
NEXT = """\
made {package}/, celery_config/contracts/{name}.py and tests/service/{name}/

  edit   celery_config/contracts/{name}.py   what it can be asked for
         {package}/services.py{space}what it does then, and {package}/tasks.py what calls it
  test   ./manage.py test checks unit service
  run    make up   (or: KEEP=1 make demo)
  use    ./manage.py startsaga NAME Book{camel}/Cancel{camel} …
"""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./manage.py startservice", description=__doc__)
    parser.add_argument("name", help="of the service: small letters, such as hotel")
    parser.add_argument("--port", type=parse_port, help="of its web; the default is the next free one")
    options = parser.parse_args(argv)
    name, port = options.name, options.port or max(each.port for each in SERVICES.values()) + 1
    package, camel = f"{name}_app", make_name_of_class(name)
    try:
        files = render_folder(TEMPLATES, name, describe(name, port))
        check(files, package)
        make(files, name, package)
    except (LocalError, DefinitionError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    space = " " * max(
        len("celery_config/contracts/.py   ") + len(name) - len(package) - len("/services.py"), 1
    )
    print(NEXT.format(name=name, package=package, camel=camel, space=space), end="")
    return 0


def describe(name: str, port: int) -> dict[str, str]:
    """Return what the templates name; the colour of the icon tells the service's browser tab from its neighbours'."""
    return {
        "project_name": name,
        "camel_case_project_name": make_name_of_class(name),
        "port": str(port),
        "initial": name[:1].upper(),
        "colour": COLOURS[port % len(COLOURS)],
    }


def check(files: Files, package: str) -> None:
    """
    Raises:
        ValueError, DefinitionError: the name or the port is wrong or taken.
    """
    declared = tomllib.loads(files[ROOT / package / FILE])
    check_together([*SERVICES.values(), parse_service(declared, package)])


def make(files: Files, name: str, package: str) -> None:
    """Write the files and what follows from them; if one step fails, everything is as before.

    Raises:
        LocalError: a file is there, or what follows could not be written.
    """
    write_new(files)
    before = {page: page.read_text(encoding="utf-8") for page in (PERMISSIONS, ERRORS)}
    try:
        PERMISSIONS.write_text(f"{before[PERMISSIONS]}\n{describe_permissions(name)}", encoding="utf-8")
        ERRORS.write_text(before[ERRORS] + DESCRIBED_ERRORS.format(name=name), encoding="utf-8")
        format_code(files)
        run("manage.py", name, "makemigrations", name, "--name", "initial")
        for command in FOLLOWING:
            run(*command)
    except BaseException:
        for path in files:
            path.unlink(missing_ok=True)
        shutil.rmtree(ROOT / package)
        shutil.rmtree(ROOT / "tests" / "service" / name)
        for page, text in before.items():
            page.write_text(text, encoding="utf-8")
        for command in FOLLOWING:
            run(*command)
        raise


def describe_permissions(name: str) -> str:
    """Return the rows of docs/reference/permissions.yaml for a new participant: those that all participants have."""
    tables = yaml.safe_load(PERMISSIONS.read_text(encoding="utf-8"))
    known = [tables[participant] for participant in PARTICIPANTS if participant in tables]
    shared: dict[str, Any] = {
        part: {
            row: merge_rows([table[part][row] for table in known])
            for row in known[0][part]
            if all(row in table[part] for table in known) and row not in OWN
        }
        for part in ("api", "site", "board", "admin")
    }
    shared["admin"][f"{name}.booking"] = {
        "see": f"{name}.view_booking", "add": "no person", "change": "no person", "delete": "no person",
    }  # fmt: skip
    return yaml.safe_dump({name: shared}, sort_keys=False, width=150, default_flow_style=None)


def merge_rows(rows: list[Any]) -> Any:
    """Return what the rows of all participants have: the callers and permissions of all, and else what is the same."""
    if isinstance(rows[0], list):
        return [each for each in rows[0] if all(each in row for row in rows)]
    if not isinstance(rows[0], dict):
        return rows[0]
    merged = {key: value for key, value in rows[0].items() if all(row.get(key) == value for row in rows)}
    if "people" in rows[0]:
        merged.setdefault("people", "no person")
    if shared := merge_rows([row.get("callers", []) for row in rows]):
        merged["callers"] = shared
    return merged
