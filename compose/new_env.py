"""`python3 -m compose.new_env`: makes compose/.env from its example, with a new secret for each placeholder."""

from __future__ import annotations

import argparse
import os
import re
import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def fill_placeholders(example: str) -> str:
    """Return `example` with 24 random bytes in hex for each placeholder; hex needs no quoting in URLs."""
    return re.sub(r"(?m)(?<==)change-me$", lambda _: secrets.token_hex(24), example)


def add_missing(folder: Path = FOLDER) -> int:
    """Append the secrets that the example has and the file lacks, after an update; what is there stays.

    Returns:
        1 when there is no file yet.
    """
    target = folder / ".env"
    if not target.exists():
        print(f"{target} does not exist; make it without --add.", file=sys.stderr)
        return 1
    secret = re.compile(r"(?m)^(\w+)=change-me$")
    there = set(re.findall(r"(?m)^(\w+)=", target.read_text()))
    names = [name for name in secret.findall((FOLDER / ".env.example").read_text()) if name not in there]
    lines = "".join(f"{name}=change-me\n" for name in names)
    with target.open("a") as file:
        file.write(fill_placeholders(lines and f"\n{lines}"))
    print(f"{target} has {len(names)} new secrets: {', '.join(names) or 'it lacked none'}.")
    return 0


def main(folder: Path = FOLDER) -> int:
    """Write the file, which only its owner can read.

    Returns:
        1 when it exists already: its passwords are those of existing volumes.
    """
    target = folder / ".env"
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"{target} exists and is left as it is; delete it to make a new one.", file=sys.stderr)
        return 1
    with os.fdopen(descriptor, "w") as file:
        file.write(fill_placeholders((FOLDER / ".env.example").read_text()))
    print(f"{target} is written. Logins of the user admin: the lines *_ADMIN_PASSWORD and FLOWER_PASSWORD.")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python3 -m compose.new_env", description=__doc__)
    parser.add_argument(
        "--add", action="store_true", help="add the secrets that the file lacks after an update"
    )
    sys.exit(add_missing() if parser.parse_args().add else main())
