"""The people and services that make the requests: each with a token of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import httpx

from celery_config.common.service_calls import CALLS, name_token
from compose.local.environment import ROOT
from compose.local.stack import Stack

TOKENS = "FUZZ_TOKENS"
"""The environment variable with the tokens, as JSON."""
Tokens = dict[str, str]
"""The Authorization header of each: `admin`, `user`, `leaver` (whose tokens end), and the callers of a service."""
PASSWORD = "correct horse battery staple"
MAKE_USERS = (
    "from django.contrib.auth import get_user_model as model\n"
    f"for name in ('user', 'leaver'): model().objects.create_user(name, password={PASSWORD!r})"
)


def gather_tokens(stack: Stack, service: str) -> Tokens:
    """Make the accounts, and return the headers of all who call a service."""
    subprocess.run(
        [sys.executable, "manage.py", service, "shell", "-c", MAKE_USERS],
        cwd=ROOT,
        env=stack.environment,
        check=True,
        capture_output=True,
    )
    people = {"admin": stack.admin_login, "user": ("user", PASSWORD), "leaver": ("leaver", PASSWORD)}
    tokens = {who: f"Token {log_in(stack.url(service), *login)}" for who, login in people.items()}
    callers = {
        caller: f"Bearer {stack.environment[name_token((caller, service))]}" for caller in CALLS[service]
    }
    return {**tokens, **callers}


def log_in(url: str, name: str, password: str) -> Any:
    answer = httpx.post(
        f"{url}/api/token/", json={"username": name, "password": password}, trust_env=False, timeout=60
    )
    return answer.raise_for_status().json()["token"]
