"""The parts of compose/.env.example: addresses of each service, and its secrets."""

from __future__ import annotations

from collections.abc import Callable

from celery_config.common.service_calls import CALLS, name_shared_token, name_token
from celery_config.common.services import SERVICES
from compose.generated.parts import Parts

SECRET, GIVEN = "change-me", "fill-in"


def give_parts() -> Parts:
    """Return the lines of each part."""
    return {
        "ports": each(lambda name: [f"{name}_PORT={SERVICES[name.lower()].port}"]),
        "hosts": each(lambda name: [f"{name}_HOSTS=localhost"]),
        "public addresses": each(
            lambda name: [f"{name}_PUBLIC_URL=http://localhost:{SERVICES[name.lower()].port}"]
        ),
        "origins": each(lambda name: [f"# {name}_TRUSTED_ORIGINS=https://{name.lower()}.example.com"]),
        "roles": each(
            lambda name: [
                f"{name}_DATABASE_PASSWORD={SECRET}",
                f"{name}_OWNER_DATABASE_PASSWORD={SECRET}",
            ]
        ),
        "users of the broker": each(lambda name: [f"RABBITMQ_{name}_PASSWORD={SECRET}"]),
        "keys and admins": each(
            lambda name: [f"{name}_SECRET_KEY={SECRET}", f"{name}_ADMIN_PASSWORD={SECRET}"]
        ),
        "tokens": [
            f"{name_token((caller, callee))}={SECRET}"
            for callee, callers in CALLS.items()
            for caller in callers
        ],
        "older tokens": [f"{name_shared_token(name)}={GIVEN}" for name in SERVICES],
        "message keys": each(lambda name: [f"{name}_MESSAGE_KEYS={SECRET}"]),
    }


def each(describe: Callable[[str], list[str]]) -> list[str]:
    return [line for name in SERVICES for line in describe(name.upper())]
