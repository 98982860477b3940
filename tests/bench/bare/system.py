"""The bare system beside a running stack: databases and queues of its own on the same servers, a sandbox of its own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import psycopg
from kombu import Connection, Exchange, Queue
from psycopg import sql

from celery_config.broker.topology import DELIVERY_LIMIT
from celery_config.common.services import SERVICES
from compose.local import ports
from compose.local.environment import ROOT
from compose.local.process import Process
from compose.local.readiness import ReadyCheck, answers, at_once
from compose.local.stack import Stack

SANDBOX = "bare-sandbox"


class BareSystem:
    """Starts with `start()`; ends with the stack, whose supervisor it uses."""

    def __init__(self, stack: Stack) -> None:
        assert stack.postgres is not None
        self.stack = stack
        self.postgres = stack.postgres
        self.sandbox_url = f"http://{ports.LOOPBACK}:{ports.free_port()}"
        # The servers' administrators, so that the services' own accounts keep exactly the rights they have.
        self.environment = {**stack.environment, "SANDBOX_URL": self.sandbox_url} | {
            name: url
            for s in SERVICES
            for name, url in (
                (f"{s.upper()}_DATABASE_URL", self.postgres.superuser_url(f"bare_{s}")),
                (f"{s.upper()}_BROKER_URL", stack.broker_admin_url),
            )
        }

    @property
    def worker_names(self) -> list[str]:
        return [f"bare-{service}-worker" for service in SERVICES]

    def start(self) -> None:
        """Make databases and queues, then start the sandbox and a worker a service."""
        self.make_databases()
        self.declare_queues()
        with ThreadPoolExecutor(len(SERVICES)) as pool:
            list(pool.map(self.prepare, SERVICES))
        self.stack.supervisor.start([self.sandbox(), *map(self.worker, SERVICES)])

    def make_databases(self) -> None:
        with psycopg.connect(self.postgres.superuser_url(), autocommit=True) as connection:
            for service in SERVICES:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(f"bare_{service}")))

    def declare_queues(self) -> None:
        arguments = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}
        exchange = Exchange("bare", type="direct", durable=True)
        with Connection(self.stack.broker_admin_url) as connection:
            for service in SERVICES:
                queue = Queue(f"bare.{service}", exchange, routing_key=service, queue_arguments=arguments)
                queue(connection.default_channel).declare()

    def prepare(self, service: str) -> None:
        self.stack.supervisor.run(
            self.process(f"bare-{service}-prepare", "-m", "tests.bench.bare.prepare", service)
        )

    def sandbox(self) -> Process:
        return self.process(
            SANDBOX,
            *("-m", "compose.sandbox", "--port", self.sandbox_url.rsplit(":", 1)[1]),
            *("--database", str(self.stack.var / "servers" / "sandbox" / "bare.sqlite3")),
            ready=answers(f"{self.sandbox_url}/healthz"),
        )

    def worker(self, service: str) -> Process:
        port = ports.free_port()
        return self.process(
            f"bare-{service}-worker",
            *("-m", "tests.bench.bare.worker", service),
            ready=answers(f"http://{ports.LOOPBACK}:{port}/metrics"),
            settings={"METRICS_PORT": str(port)},
        )

    def process(
        self, name: str, *argv: str, ready: ReadyCheck = at_once, settings: Mapping[str, str] | None = None
    ) -> Process:
        return Process(
            name=name,
            argv=[sys.executable, *argv],
            env={**self.environment, **(settings or {})},
            cwd=ROOT,
            ready=ready,
        )
