"""Secrets in files: `NAME_FILE` names the file that holds the secret `NAME`, as containers mount secrets.

A secret in the environment is seen by everybody who may inspect the container, and goes to every child process.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from pathlib import Path
from urllib.parse import quote

SECRET = re.compile(r"(DATABASE_URL|BROKER_URL|BROKER_API|EMAIL_URL|KEYS?|TOKENS?|SECRETS?|PASSWORD|AUTH)$")
"""What the name of a secret ends with."""
_OF_FILE = "_FILE"
_ADDRESS = re.compile(r"(\w+_(?:DATABASE|BROKER)_|EMAIL_)(?:URL|API)")
_WITHOUT_PASSWORD = re.compile(r"(\w+://[^:/?#@;]+)@")


class SecretUnreadable(ValueError):
    """The file of a secret cannot be read; the text names the variable and the file."""


def read_secret_files(environ: MutableMapping[str, str]) -> None:
    """Set each secret that is in a file, then put passwords into the addresses of databases and brokers.

    `ORDER_DATABASE_PASSWORD` goes into `ORDER_DATABASE_URL`, `ORDER_BROKER_PASSWORD` into `ORDER_BROKER_URL` and
    `ORDER_BROKER_API`, `EMAIL_PASSWORD` into `EMAIL_URL`, where they name a user and no password. An empty file sets
    nothing.

    Raises:
        SecretUnreadable: there is no such file, or it may not be read.
    """
    for variable, path in [*environ.items()]:
        name = variable.removesuffix(_OF_FILE)
        if name == variable or not path or not SECRET.search(name):
            continue
        try:
            secret = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise SecretUnreadable(f"{variable}: the file {path} cannot be read ({reason}).") from None
        if secret:
            environ[name] = secret
    for variable, address in [*environ.items()]:
        kind = _ADDRESS.fullmatch(variable)
        if kind and (password := environ.get(kind[1] + "PASSWORD")):
            quoted = quote(password, safe="")
            environ[variable] = _WITHOUT_PASSWORD.sub(rf"\1:{quoted}@", address)
