"""The stack: the whole system on this machine, with its servers, databases and processes. One runs in a folder."""

import os
import shutil
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

from celery_config.broker.topology import FLOWER_USER, Topology
from celery_config.common.private_folders import PRIVATE, outer_mode
from celery_config.common.services import SERVICES, SUBSCRIPTIONS
from compose.local import environment, packages
from compose.local.blueprint import Blueprint
from compose.local.claims import FolderClaim
from compose.local.environment import ADMIN, Addresses, Mode
from compose.local.errors import LocalError
from compose.local.folders import claim_folder, make_folder
from compose.local.postgres import PostgresServer
from compose.local.rabbitmq import RabbitServer
from compose.local.supervisor import Supervisor

_BROKER_ADMINISTRATOR = "admin"


class Stack:
    """The sandbox and, for each service, web, worker and relay, and the notifier; in `servers` mode also Flower.

    Args:
        mode: `servers` = PostgreSQL and RabbitMQ, private ones unless the environment names others;
            `embedded` = SQLite files and the file-based broker.
        var: the folder of all generated files; `ORDER_SAGA_VAR` or `var/` when None.
        settings: environment variables of this stack; they win over all others.
        environ: the environment it starts from.
        with_flower: also run Flower.
        with_webhooks: the sandbox sends webhooks to payment and shipment.

    Raises:
        FolderInUse: another stack of this mode still runs in `var`.
    """

    def __init__(
        self,
        mode: Mode,
        *,
        var: Path | None = None,
        settings: Mapping[str, str] | None = None,
        environ: Mapping[str, str] = os.environ,
        with_flower: bool = False,
        with_webhooks: bool = True,
    ) -> None:
        self.mode = mode
        self.var = (var or environment.var_folder(environ)).resolve()
        self.logs = self.var / "log"
        self.settings_of: dict[str, dict[str, str]] = {}
        """Further environment variables for the processes of a service, by service; they win."""
        for folder, folder_mode in self._folders().items():
            claim_folder(folder, folder_mode)
        self._claim = FolderClaim(self.var / mode)
        self.supervisor = Supervisor(self.logs)
        self.addresses = Addresses.choose(self.var / mode)
        self._sandbox_database = self.var / mode / "sandbox" / "sandbox.sqlite3"
        self.postgres: PostgresServer | None = None
        self.rabbitmq: RabbitServer | None = None
        if mode == "servers":
            self._choose_servers(environ)
        for server in self._servers.values():
            server.deaths = self.supervisor.deaths
        self.environment = {
            **environment.build(
                mode,
                var=self.var,
                addresses=self.addresses,
                postgres=self.postgres,
                rabbitmq=self.rabbitmq,
                environ=environ,
            ),
            **(settings or {}),
        }
        self.has_flower = with_flower and mode == "servers" and "FLOWER_BROKER_URL" in self.environment
        if self.has_flower:
            self.environment.setdefault("FLOWER_PUBLIC_URL", self.flower_url)
        self.blueprint = Blueprint(
            environment=self.environment,
            settings_of=self.settings_of,
            addresses=self.addresses,
            sandbox_database=self._sandbox_database,
            with_webhooks=with_webhooks,
        )

    def _folders(self) -> dict[Path, int]:
        """The folders of this stack, each with its mode. `var` itself may be one that others use."""
        # PostgreSQL's folder lies in that of the servers, and root runs it as another user.
        own = {self.var / self.mode: outer_mode() if self.mode == "servers" else PRIVATE}
        return own | dict.fromkeys([self.logs, self.var / self.mode / "sandbox"], PRIVATE)

    def _choose_servers(self, environ: Mapping[str, str]) -> None:
        folder = self.var / "servers"
        if not environment.names_all("DATABASE", environ):
            self.postgres = PostgresServer(folder / "postgres", [*SERVICES], log=self.logs / "postgres.log")
        if not environment.names_all("BROKER", environ):
            users = (*SERVICES, FLOWER_USER, _BROKER_ADMINISTRATOR)
            definitions = Topology.load(SUBSCRIPTIONS).definitions
            self.rabbitmq = RabbitServer(
                folder / "rabbitmq", users, definitions, log=self.logs / "rabbitmq.log"
            )

    @property
    def admin_login(self) -> tuple[str, str]:
        """The name and password of the administrator of every service and of Flower."""
        return ADMIN, self.environment["ADMIN_PASSWORD"]

    @property
    def flower_url(self) -> str:
        return environment.flower_url(self.addresses)

    @property
    def sandbox_url(self) -> str:
        return self.environment["SANDBOX_URL"]

    @property
    def broker_admin_url(self) -> str:
        """The address of the private broker for its administrator.

        Raises:
            LookupError: the broker is not a private one.
        """
        if self.rabbitmq is None:
            raise LookupError("this stack runs no broker of its own")
        return self.rabbitmq.url(_BROKER_ADMINISTRATOR)

    def url(self, service: str) -> str:
        """Return the base address of a service."""
        return environment.web_url(self.addresses, service)

    def restart(self, name: str, timeout: float = 60.0) -> None:
        """Stop one process (`payment-worker`, `postgres`, …), start it again and wait until it is ready."""
        if name in self._servers:
            self._servers[name].restart()
        else:
            self.supervisor.restart(name, timeout)

    @property
    def _servers(self) -> dict[str, PostgresServer | RabbitServer]:
        servers = {"postgres": self.postgres, "rabbitmq": self.rabbitmq}
        return {name: server for name, server in servers.items() if server}

    def delete_data(self) -> None:
        """Delete the data of earlier runs in this mode; the stack must not run."""
        for server in self._servers.values():
            server.wipe()
        if self.mode == "embedded":
            for item in ("broker", *(f"{service}.sqlite3*" for service in SERVICES)):
                for path in (self.var / "embedded").glob(item):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(self._sandbox_database.parent, ignore_errors=True)

    def start(self, timeout: float = 120.0) -> None:
        """Start everything in parallel and wait until all is ready.

        Raises:
            LocalError: something did not start; everything is stopped again.
        """
        if self._servers:
            packages.find_or_install()
        make_folder(self._sandbox_database.parent)
        try:
            with ThreadPoolExecutor(max_workers=5 + 2 * len(SERVICES)) as pool:
                try:
                    self._start(pool, timeout)
                except BaseException:
                    # This also ends what still starts in the pool's threads, so that the pool can close.
                    self.stop()
                    raise
        except BaseException:
            self.stop()
            raise

    def _start(self, pool: ThreadPoolExecutor, timeout: float) -> None:
        database = pool.submit(self.postgres.start if self.postgres else _nothing)
        broker = pool.submit(self.rabbitmq.start if self.rabbitmq else _nothing)
        static = pool.submit(self.supervisor.run, self.blueprint.collect_static(), timeout)

        def start_service(service: str) -> None:
            # Its pages name the static files as they are collected.
            static.result()
            parent = pool.submit(self.supervisor.start, [self.blueprint.parent(service)], timeout)
            database.result()
            self.supervisor.run(self.blueprint.prepare(service), timeout)
            broker.result()
            parent.result()
            self.supervisor.start(self.blueprint.all_of(service), timeout)

        running = {database: "PostgreSQL", broker: "RabbitMQ", static: "static files"}
        running[pool.submit(self.supervisor.start, [self.blueprint.sandbox()], timeout)] = "sandbox"
        running |= {pool.submit(start_service, service): service for service in SERVICES}
        if self.has_flower:
            running[pool.submit(self._start_flower, broker, timeout)] = "Flower"
        ended, under_way = wait(running, timeout=timeout, return_when=FIRST_EXCEPTION)
        for future in ended:
            future.result()
        if under_way:
            missing = ", ".join(name for future, name in running.items() if future in under_way)
            raise LocalError(
                f"The stack is not ready after {timeout:g} s: {missing}. Its logs are in {self.logs}."
            )

    def _start_flower(self, broker: "Future[None]", timeout: float) -> None:
        broker.result()
        self.supervisor.start([self.blueprint.flower()], timeout)

    def stop(self) -> None:
        """Stop all processes, then the private servers; the data stay for the next stack."""
        self.supervisor.stop()
        with ThreadPoolExecutor(max_workers=2) as pool:
            for stopped in [pool.submit(server.stop) for server in self._servers.values()]:
                stopped.result()
        self._claim.release()


def _nothing() -> None:
    """Stand in for the start of a server that the environment names."""
