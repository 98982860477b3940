"""The blueprint of every process of the system: its command, its environment and its readiness check."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from celery_config.common.timeouts import Timeouts
from compose.local import ports
from compose.local.environment import ADMIN, ROOT, WEBHOOKS, Addresses, flower_url, web_url
from compose.local.forks import ServiceParent
from compose.local.process import Process, ReadyCheck, at_once, cannot_fork
from compose.local.readiness import answers
from compose.local.roles import list_roles
from compose.local.secrets import select_environment


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """Makes the processes; it starts none.

    Args:
        environment: what the processes together know; each gets its own secrets alone.
        settings_of: further variables for the processes of a service, by service; they win.
        sandbox_database: the sandbox's file.
        with_webhooks: the sandbox sends webhooks to payment and shipment.
        parents: of the processes of each service.
    """

    environment: Mapping[str, str]
    settings_of: Mapping[str, Mapping[str, str]]
    addresses: Addresses
    sandbox_database: Path
    with_webhooks: bool
    parents: dict[str, ServiceParent] = field(default_factory=dict)

    def parent(self, service: str) -> ServiceParent:
        """Return the parent of what is made of this service from now on."""
        made = self.parents[service] = ServiceParent(service, self._build_environment(service))
        return made

    def all_of(self, service: str) -> list[Process]:
        """Return the processes of a service that stay up."""
        makers: dict[str, Callable[[str], Process]] = {
            "web": self.web,
            "worker": self.worker,
            "relay": self.relay,
            "notifier": self.notifier,
        }
        return [makers[role](service) for role in list_roles(service)]

    def prepare(self, service: str) -> Process:
        command = ("-m", "compose.local.prepare", service)
        return self._process(f"{service}-prepare", *command, administers=True)

    def collect_static(self) -> Process:
        """Return the process that collects the static files, which all services share."""
        return self._process("order-static", "manage.py", "order", "collectstatic", "--no-input")

    def worker(self, service: str, number: int = 1) -> Process:
        if number == 1:
            return self._measured(f"{service}-worker", service, "worker")
        node = f"{service}-{number}@%h"
        return self._measured(f"{service}-worker-{number}", service, "worker", "--name", node)

    def relay(self, service: str) -> Process:
        return self._measured(f"{service}-relay", service, "relay")

    def notifier(self, service: str) -> Process:
        return self._measured(f"{service}-notifier", service, "notifier")

    def web(self, service: str) -> Process:
        return self._process(
            f"{service}-web",
            *("manage.py", service, "web"),
            *("--bind", f"{ports.LOOPBACK}:{self.addresses.web[service]}"),
            ready=answers(f"{web_url(self.addresses, service)}/readyz"),
        )

    def sandbox(self) -> Process:
        times = Timeouts(scale=float(self.environment.get("SAGA_TIME_SCALE", "1")))
        return self._process(
            "sandbox",
            *("-m", "compose.sandbox", "--port", str(self.addresses.sandbox)),
            *("--database", str(self.sandbox_database)),
            *(self._webhooks() if self.with_webhooks else ()),
            # Longer than a caller waits, at every scale of the protocol's times.
            *("--timeout-seconds", str(1.5 * times.call)),
            *("--slow-seconds", str(0.1 * times.call)),
            ready=answers(f"{self.environment['SANDBOX_URL']}/healthz"),
        )

    def _webhooks(self) -> tuple[str, ...]:
        payment, shipment = (web_url(self.addresses, s) + WEBHOOKS[s] for s in ("payment", "shipment"))
        return ("--payment-webhook", payment, "--carrier-webhook", shipment)

    def flower(self) -> Process:
        login = f"{ADMIN}:{self.environment['ADMIN_PASSWORD']}"
        return self._process(
            "flower",
            *("manage.py", "flower"),
            ready=answers(f"{flower_url(self.addresses)}/healthcheck"),
            settings={
                "FLOWER_ADDRESS": ports.LOOPBACK,
                "FLOWER_PORT": str(self.addresses.flower),
                "FLOWER_BASIC_AUTH": login,
            },
        )

    def _process(
        self,
        name: str,
        *argv: str,
        ready: ReadyCheck = at_once,
        settings: Mapping[str, str] | None = None,
        administers: bool = False,
    ) -> Process:
        owner = name.partition("-")[0]
        environment = self._build_environment(owner, administers=administers)
        parent = self.parents.get(owner)
        return Process(
            name=name,
            argv=[sys.executable, *argv],
            env={**environment, **(settings or {})},
            cwd=ROOT,
            ready=ready,
            fork=parent.make_fork if parent and argv[0] == "manage.py" else cannot_fork,
        )

    def _build_environment(self, owner: str, *, administers: bool = False) -> dict[str, str]:
        selected = select_environment(self.environment, owner, administers=administers)
        return {**selected, **self.settings_of.get(owner, {})}

    def _measured(self, name: str, *command: str) -> Process:
        """Return a process that is ready when it serves its metrics."""
        port = ports.free_port()
        return self._process(
            name,
            *("manage.py", *command, "--metrics-port", str(port)),
            ready=answers(f"http://{ports.LOOPBACK}:{port}/metrics"),
        )
