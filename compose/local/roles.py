"""Which processes a service has: web, worker and relay; the order service also has the notifier."""

from __future__ import annotations

from celery_config.common.services import ORCHESTRATOR


def list_roles(service: str) -> tuple[str, ...]:
    """Return the commands of the processes of a service that stay up."""
    return ("web", "worker", "relay", *(("notifier",) if service == ORCHESTRATOR else ()))
