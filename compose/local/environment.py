"""The environment of every process: its ports, servers, keys and tokens. Each is made once and then stays the same."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from celery_config.broker.topology import FLOWER_USER
from celery_config.common.service_calls import CALLS, name_token
from celery_config.common.services import SERVICES
from compose.local import ports
from compose.local.postgres import PostgresServer
from compose.local.private_files import KeptValues
from compose.local.rabbitmq import RabbitServer

Mode = Literal["servers", "embedded"]

_SANDBOX_PORT = 8090
_FLOWER_PORT = 5555

# The paths to which the sandbox sends its webhooks.
WEBHOOKS = {"payment": "/api/provider-events/", "shipment": "/api/carrier-events/"}

ADMIN = "admin"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Addresses:
    """The ports of this run.

    Args:
        moved: a sentence for each port that another program has.
    """

    web: Mapping[str, int]
    sandbox: int
    flower: int
    moved: tuple[str, ...] = ()

    @classmethod
    def choose(cls, folder: Path) -> "Addresses":
        """Choose the ports that are kept in `folder`; at first the usual ones, where they are free.

        Raises:
            LocalError: the file of the kept ports is broken, or the folder cannot be made.
        """
        usual = {name: service.port for name, service in SERVICES.items()} | {
            "sandbox": _SANDBOX_PORT,
            "flower": _FLOWER_PORT,
        }
        kept = KeptValues(folder / "ports.json")
        wanted = {name: kept.find_port(name) or port for name, port in usual.items()}
        found = {name: kept.port(name, port) for name, port in usual.items()}
        return cls(
            web={service: found[service] for service in SERVICES},
            sandbox=found["sandbox"],
            flower=found["flower"],
            moved=tuple(
                f"Port {wanted[name]} is taken by another program: {name} has {port}"
                for name, port in found.items()
                if port != wanted[name]
            ),
        )


def var_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of all generated files."""
    return Path(environ.get("ORDER_SAGA_VAR") or ROOT / "var").resolve()


def names_all(kind: Literal["DATABASE", "BROKER"], environ: Mapping[str, str]) -> bool:
    """Whether `environ` names the database, or the broker, of every service, and no private server is needed."""
    names = [f"{service.upper()}_{kind}_URL" for service in SERVICES]
    return all(environ.get(name) for name in names)


def build(
    mode: Mode,
    *,
    var: Path,
    addresses: Addresses,
    postgres: PostgresServer | None = None,
    rabbitmq: RabbitServer | None = None,
    environ: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Return the environment that all processes share.

    Args:
        mode: `embedded` leaves databases and brokers to the services' defaults, which are files under `var`.
        var: the folder of all generated files; it keeps the keys and tokens.
        addresses: the ports of this run.
        postgres: the private server, when one is used.
        rabbitmq: the private server, when one is used.
        environ: its variables win over generated ones, except for the addresses of our own processes.
    """
    kept = KeptValues(var / "secrets.json")
    # Celery's warning to root fits a server on a network. Ours is on a developer's machine and takes JSON alone.
    root_is_fine = "ignore:You're running the worker with superuser privileges"
    generated = {
        "ADMIN_PASSWORD": kept.secret("admin", 9),
        "PYTHONWARNINGS": root_is_fine,
        # Receivers of webhooks to try out are on this machine, too.
        "NOTIFY_NETWORKS": "127.0.0.0/8,::1/128",
        # glibc gives threads up to eight heaps a core, and each heap keeps what one thread once needed.
        "MALLOC_ARENA_MAX": "2",
        # And each thread keeps what it has freed, up to seven pieces of each size.
        "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
    }
    for service in SERVICES:
        prefix = service.upper()
        generated[f"{prefix}_SECRET_KEY"] = kept.secret(f"{service}-key", 48)
        generated[f"{prefix}_MESSAGE_KEYS"] = kept.secret(f"{service}-messages")
        if service in WEBHOOKS:
            generated[f"{prefix}_WEBHOOK_SECRET"] = kept.secret(f"{service}-webhooks")
        if postgres:
            generated[f"{prefix}_DATABASE_URL"] = postgres.url(service)
            if not environ.get(f"{prefix}_DATABASE_URL"):
                generated[f"{prefix}_OWNER_DATABASE_URL"] = postgres.owner_url(service)
        if rabbitmq:
            generated[f"{prefix}_BROKER_URL"] = rabbitmq.url(service)
    for callee, callers in CALLS.items():
        for caller in callers:
            generated[name_token((caller, callee))] = kept.secret(f"{caller}-to-{callee}-token")
    if rabbitmq:
        generated["FLOWER_BROKER_URL"] = rabbitmq.url(FLOWER_USER)
    if mode == "embedded":
        # There is no Flower to read task events.
        generated["TASK_EVENTS"] = "false"

    ours = {
        "ORDER_SAGA_VAR": str(var),
        "SANDBOX_URL": f"http://{ports.LOOPBACK}:{addresses.sandbox}",
        "STATIC_FOLDER": str(var / mode / "static"),
        "PYTHONUNBUFFERED": "1",
        **{f"{service.upper()}_URL": web_url(addresses, service) for service in SERVICES},
        # A port is one thing for TCP and another for UDP.
        **{f"{s.upper()}_RELAY_WAKE": f"{ports.LOOPBACK}:{addresses.web[s]}" for s in SERVICES},
    }
    # Each process names its own settings module; one named here would make all four services the same.
    inherited = {name: value for name, value in environ.items() if value and name != "DJANGO_SETTINGS_MODULE"}
    if mode == "embedded":
        inherited = without_servers(inherited)
    return {**generated, **inherited, **ours}


def without_servers(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` without the servers that it names, for a stack with private servers or with none."""
    return {n: value for n, value in environ.items() if not n.endswith(("_DATABASE_URL", "_BROKER_URL"))}


def flower_url(addresses: Addresses) -> str:
    """Return the base address of Flower."""
    return f"http://{ports.LOOPBACK}:{addresses.flower}"


def web_url(addresses: Addresses, service: str) -> str:
    """Return the base address of a service's pages and API."""
    return f"http://{ports.LOOPBACK}:{addresses.web[service]}"
