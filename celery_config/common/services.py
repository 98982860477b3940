"""The services of the system: the one table of their names, packages and ports.

manage.py, the broker's topology, the settings, logging, compose and the tests read it. It holds names alone: the shared
code imports no service.
"""

from __future__ import annotations

from typing import NamedTuple


class Service(NamedTuple):
    """One Django project.

    Args:
        package: its Python package.
        port: where its web listens on a developer's machine.
        outside: what it calls outside, in words for people; empty: nothing.
    """

    package: str
    port: int
    outside: str = ""

    @property
    def settings_module(self) -> str:
        """The value of DJANGO_SETTINGS_MODULE for its processes."""
        return f"{self.package}.config.settings"

    @property
    def subscriptions(self) -> str:
        """The dotted name of the list of events that it subscribes to."""
        return f"{self.package}.subscriptions.SUBSCRIPTIONS"


SERVICES = {
    "order": Service("order_project", 8001),
    "payment": Service("payment_app", 8002, "the payment provider"),
    "inventory": Service("inventory_app", 8003),
    "shipment": Service("shipment_app", 8004, "the carrier"),
}

ORCHESTRATOR = "order"
"""The service that drives the sagas."""

SUBSCRIPTIONS = {name: service.subscriptions for name, service in SERVICES.items()}
"""What the topology is made from; the dotted names of the lists, since the shared code imports no service."""

PACKAGES = tuple(service.package for service in SERVICES.values())

PARTICIPANTS = tuple(name for name in SERVICES if name != ORCHESTRATOR)
"""The services that carry out the steps."""
