"""The parts of what the servers and the image read: PostgreSQL's roles, the targets of Prometheus, the Dockerfile."""

from __future__ import annotations

from celery_config.common.services import ORCHESTRATOR, PACKAGES, SERVICES
from compose.generated.parts import Parts


def give_roles() -> Parts:
    """Return the line of compose/postgres/services.sh that names the services."""
    return {"names": [f'services="{" ".join(SERVICES)}"']}


def give_access() -> Parts:
    """Return the lines of pg_hba.conf: each role reaches its own database alone."""
    rows = []
    for name in SERVICES:
        database, roles = f'"{name}"', f'"{name}","{name}_owner"'
        rows.append(f"host    {database:<12} {roles:<36} samenet       scram-sha-256")
    return {"roles": rows}


def give_targets() -> Parts:
    """Return the processes that Prometheus asks."""
    rows = []
    for name in SERVICES:
        others = ("worker", "relay", *(("notifier",) if name == ORCHESTRATOR else ()))
        for process, port in (("web", 8100), *((each, 9100) for each in others)):
            labels = f"{{service: {name}, process: {process}}}"
            rows.append(f'- {{targets: ["{name}-{process}:{port}"], labels: {labels}}}')
    return {"targets": rows}


def give_copies() -> Parts:
    """Return the lines of the Dockerfile that copy the services' folders."""
    return {"folders": [f"COPY {package} {package}" for package in PACKAGES]}


def give_context() -> Parts:
    """Return the lines of .dockerignore that let the services' folders through."""
    return {"folders": [f"!{package}" for package in PACKAGES]}
