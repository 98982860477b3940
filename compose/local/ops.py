"""Everything that operators can do over HTTP, for scripts and assistants: `./manage.py ops sagas retry ID --why …`.

The calls are those of the service's own OpenAPI document. Answers are JSON on standard output, problem details go to
standard error with the exit code 1. What changes something shows first what it would do, and does it with `--yes`.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from celery_config.common.secret_files import SecretUnreadable, read_secret_files
from celery_config.common.services import ORCHESTRATOR, SERVICES
from celery_config.common.visible_text import escape_controls
from compose.local.openapi import Operation, Option
from compose.local.ops_client import Api, CallRefused
from compose.local.ports import LOOPBACK

WRONG, REFUSED = 2, 1


def main(argv: list[str]) -> int:
    """Make one call.

    Returns:
        1 when the service refuses it or does not answer, 2 after a wrong word.
    """
    try:
        read_secret_files(os.environ)
        options, rest = parse_first(argv)
        api = Api(options.url, os.environ.get("OPS_TOKEN", ""))
        with api.client:
            return run(api, rest)
    except SecretUnreadable as error:
        print(error, file=sys.stderr)
        return WRONG
    except CallRefused as refused:
        print(format_json(refused.problem), file=sys.stderr)
        return REFUSED


def run(api: Api, rest: list[str]) -> int:
    """Find the operation that the words name, and read or act.

    Raises:
        CallRefused: the service refuses it or does not answer.
    """
    operations = api.read_operations()
    found = find(operations, rest)
    if not found:
        return tell_words(operations, rest)
    acting = next((each for each in found if not each.reads), None)
    options = parse(acting or found[0], rest[len(found[0].words) :])
    if acting is None:
        return read(api, found[0], options)
    return act(api, acting, find_preview(operations, acting), options)


def parse_first(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Read what comes before the words of an operation."""
    parser = argparse.ArgumentParser(
        prog="./manage.py ops",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="OPS_TOKEN is the token of a user (POST /api/token/), or OPS_TOKEN_FILE names its file. Without words"
        " all operations are listed; `WORDS --help` says what one takes.",
    )
    usual = f"http://{LOOPBACK}:{SERVICES[ORCHESTRATOR].port}"
    url = os.environ.get("OPS_URL") or os.environ.get(f"{ORCHESTRATOR.upper()}_URL") or usual
    parser.add_argument("--url", default=url, help="of the service (default: OPS_URL, or order's)")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="WORDS…", help="such as: sagas list")
    options = parser.parse_args(argv)
    return options, options.rest


def find(operations: Sequence[Operation], rest: list[str]) -> list[Operation]:
    """Return the operations with these words: one, or one that reads and one that acts; the longest words win."""
    fitting = [each for each in operations if [*each.words] == rest[: len(each.words)]]
    longest = max((len(each.words) for each in fitting), default=0)
    return [each for each in fitting if len(each.words) == longest]


def tell_words(operations: Sequence[Operation], rest: list[str]) -> int:
    """List the operations that begin with these words; a wrong word is an error."""
    begun = [each for each in operations if [*each.words[: len(rest)]] == rest]
    if begun:
        names = {" ".join((*each.words, *map(str.upper, each.ids))): each.about for each in begun}
        print(escape_controls("\n".join(f"{name:<32} {about}".rstrip() for name, about in names.items())))
        return 0
    known = [" ".join(each.words) for each in operations]
    guess = difflib.get_close_matches(" ".join(rest[:2]), known, n=1)
    meant = f" Did you mean `{guess[0]}`?" if guess else ""
    print(f"There is no operation {' '.join(rest)!r}.{meant} `./manage.py ops` lists all.", file=sys.stderr)
    return WRONG


def find_preview(operations: Sequence[Operation], acting: Operation) -> Operation | None:
    """Return what is read before an act: what it would do, else the row that it is on; None: the address names none."""
    row = f"{acting.path.rstrip('/').rpartition('/')[0]}/"
    reading = {each.path: each for each in operations if each.reads and each.ids == acting.ids != ()}
    return reading.get(acting.path) or reading.get(row)


def act(api: Api, acting: Operation, look: Operation | None, options: argparse.Namespace) -> int:
    """Act with `--yes`; without it print what the act would do, and the request that would be sent."""
    path = acting.fill(vars(options))
    body = {each.name: convert(each, text) for each, text in list_given(acting, options)}
    if not options.yes:
        preview = {"preview": api.send("GET", look.fill(vars(options)))} if look else {}
        request = {"method": acting.method, "path": path, "body": body}
        print(format_json({**preview, "request": request, "sent": False, "hint": "--yes sends it"}))
        return 0
    headers = {"Idempotency-Key": options.key or str(uuid4())} if acting.takes_key else {}
    told = api.send(acting.method, path, json=body, headers=headers)
    if told is not None:
        print(format_json(told))
    return 0


def read(api: Api, reading: Operation, options: argparse.Namespace) -> int:
    """Print what an operation reads, page by page with `--all`."""
    path = reading.fill(vars(options))
    query = {each.name: text for each, text in list_given(reading, options)}
    if reading.is_list and options.all:
        for row in api.read_all(path, query):
            print(escape_controls(json.dumps(row, ensure_ascii=False)))
    else:
        print(format_json(api.send("GET", path, params=query)))
    return 0


def list_given(operation: Operation, options: argparse.Namespace) -> Iterator[tuple[Option, str]]:
    """The options of an operation that were given, each with its text."""
    for each in operation.options:
        if (text := getattr(options, each.name)) is not None:
            yield each, text


def parse(operation: Operation, rest: list[str]) -> argparse.Namespace:
    """Read the ids and options of an operation."""
    parser = argparse.ArgumentParser(
        prog=f"./manage.py ops {' '.join(operation.words)}", description=operation.about, allow_abbrev=False
    )
    for name in operation.ids:
        parser.add_argument(name)
    for field in operation.options:
        if field.name in operation.ids:
            continue
        kind = f" ({field.kind})" if field.kind not in ("", "string") else ""
        # argparse takes % for its own.
        parser.add_argument(field.flag, dest=field.name, help=f"{field.about}{kind}".replace("%", "%%"))
    if not operation.reads:
        parser.add_argument("--yes", action="store_true", help="do it; without this it is only shown")
        if operation.takes_key:
            parser.add_argument(
                "--key", default="", help="its idempotency key; a repeat with it does nothing more"
            )
    elif operation.is_list:
        parser.add_argument("--all", action="store_true", help="every row of every page, one a line")
    return parser.parse_args(rest)


def convert(option: Option, text: str) -> Any:
    """Return the value of a field: text as it is, other kinds from JSON, `@FILE` or a list with commas.

    Raises:
        CallRefused: it is no such value.
    """
    if option.kind == "string":
        return text
    try:
        if text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        if option.kind == "array" and not text.lstrip().startswith("["):
            return [each.strip() for each in text.split(",")]
        return json.loads(text)
    except (OSError, ValueError) as error:
        if option.kind == "" and isinstance(error, ValueError):
            return text
        raise CallRefused(
            {"title": "Not sent", "detail": f"{option.flag} is no {option.kind}: {error}"}
        ) from error


def format_json(value: Any) -> str:
    return escape_controls(json.dumps(value, ensure_ascii=False, indent=1))
