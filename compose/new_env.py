"""`python3 -m compose.new_env`: makes compose/.env from its example, and a file with a new secret for each placeholder.

What is there already stays: run again after an update, it adds what the new version needs. Secrets that an older
version kept in compose/.env move into their files.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
RANDOM, BY_HAND = "change-me", "fill-in"
LINE = re.compile(r"(?m)^(\w+)=(.*)\n")
# Hex needs no quoting anywhere; Django asks for 50 characters.
BYTES = 32


def find_secrets(example: str) -> dict[str, str]:
    """The names of all secrets in the example; with each whether it is random or written by hand."""
    return {name: value for name, value in LINE.findall(example) if value in (RANDOM, BY_HAND)}


def without(text: str, names: set[str]) -> str:
    """The text of an environment file without the lines of these variables."""
    return LINE.sub(lambda line: "" if line[1] in names else line[0], text)


def write_new(path: Path, text: str, mode: int) -> None:
    """Write a file whole or not at all; an interrupted run leaves nothing that looks complete."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.chmod(mode)
    unfinished.replace(path)


def main(folder: Path = FOLDER) -> int:
    """Write what is missing, for its owner alone."""
    example = (FOLDER / ".env.example").read_text()
    wanted = find_secrets(example)
    env, store = folder / ".env", folder / "secrets"
    settings = env.read_text() if env.exists() else example
    older = {name: value for name, value in LINE.findall(settings) if name in wanted}
    # The folder is closed to others. The files in it are not: each is mounted alone, and containers run as other users.
    store.mkdir(mode=0o700, exist_ok=True)
    store.chmod(0o700)
    made = []
    for name, kind in wanted.items():
        file = store / name.lower()
        if file.exists():
            continue
        value = older.get(name, kind)
        new = secrets.token_hex(BYTES) if kind == RANDOM else ""
        # People fill some of the files by hand, so their owner may write those. The others are only read.
        mode = 0o644 if kind == BY_HAND else 0o444
        write_new(file, new if value in ("", RANDOM, BY_HAND) else value, mode)
        made.append(file.name)
    rest = without(settings, {*wanted})
    if not env.exists() or rest != settings:
        write_new(env, rest, 0o600)
        made.append(".env")
    print(f"New in {folder}: {', '.join(made) or 'nothing, all is there'}.")
    print(f"Logins of the user admin: the files *_admin_password and flower_password in {store}.")
    return 0


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python3 -m compose.new_env", description=__doc__).parse_args()
    sys.exit(main())
