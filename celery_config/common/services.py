"""The services of the system, as they declare themselves; the shared code imports none of them.

manage.py, the broker's topology, the settings, logging, compose and the tests read it.
"""

from __future__ import annotations

from celery_config.common.declarations import Role, find_folder, read_services

SERVICES = read_services(find_folder())

ORCHESTRATOR = next(name for name, service in SERVICES.items() if service.role == Role.ORCHESTRATOR)
"""The service that drives the sagas."""

SUBSCRIPTIONS = {name: service.subscriptions for name, service in SERVICES.items()}
"""What the topology is made from; the dotted names of the lists, since the shared code imports no service."""

PACKAGES = tuple(service.package for service in SERVICES.values())

PARTICIPANTS = tuple(name for name in SERVICES if name != ORCHESTRATOR)
"""The services that carry out the steps."""
