"""The bare system beside a running stack: its own databases and queues on the same servers, and its own sandbox."""

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
from compose.local.process import Process, ReadyCheck, at_once
from compose.local.readiness import answers
from compose.local.stack import Stack

SANDBOX = "bare-sandbox"


class BareSystem:
    """Starts with `start()` and stops with the stack, whose supervisor it uses."""

    def __init__(self, stack: Stack) -> None:
        assert stack.postgres is not None
        self.stack = stack
        self.postgres = stack.postgres
        self.sandbox_url = f"http://{ports.LOOPBACK}:{ports.free_port()}"
        # The administrators' accounts of the servers: the services' own accounts get no further rights.
        self.environment = {**stack.environment, "SANDBOX_URL": self.sandbox_url} | {
            name: url
            for s in SERVICES
            for name, url in (
                (f"{s.upper()}_DATABASE_URL", self.postgres.superuser_url(f"bare_{s}")),
                (f"{s.upper()}_OWNER_DATABASE_URL", self.postgres.superuser_url(f"bare_{s}")),
                (f"{s.upper()}_BROKER_URL", stack.broker_admin_url),
            )
        }

    @property
    def worker_names(self) -> list[str]:
        return [f"bare-{service}-worker" for service in SERVICES]

    def start(self) -> None:
        """Make databases and queues, then start the sandbox and one worker for each service."""
        self.make_databases()
        self.declare_queues()
        with ThreadPoolExecutor(len(SERVICES)) as pool:
            list(pool.map(self.prepare_service, SERVICES))
        self.stack.supervisor.start([self.define_sandbox(), *map(self.define_worker, SERVICES)])

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

    def prepare_service(self, service: str) -> None:
        self.stack.supervisor.run(
            self.define_process(f"bare-{service}-prepare", "-m", "tests.bench.bare.prepare", service)
        )

    def define_sandbox(self) -> Process:
        return self.define_process(
            SANDBOX,
            *("-m", "compose.sandbox", "--port", self.sandbox_url.rsplit(":", 1)[1]),
            *("--database", str(self.stack.var / "servers" / "sandbox" / "bare.sqlite3")),
            ready=answers(f"{self.sandbox_url}/healthz"),
        )

    def define_worker(self, service: str) -> Process:
        port = ports.free_port()
        return self.define_process(
            f"bare-{service}-worker",
            *("-m", "tests.bench.bare.worker", service),
            ready=answers(f"http://{ports.LOOPBACK}:{port}/metrics"),
            settings={"METRICS_PORT": str(port)},
        )

    def define_process(
        self, name: str, *argv: str, ready: ReadyCheck = at_once, settings: Mapping[str, str] | None = None
    ) -> Process:
        return Process(
            name=name,
            argv=[sys.executable, *argv],
            env={**self.environment, **(settings or {})},
            cwd=ROOT,
            ready=ready,
        )
