"""Nodes of one RabbitMQ cluster: the first starts alone, the others join it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from celery_config.broker.topology import VHOST
from compose.local import ports
from compose.local.packages import Binaries, find_or_install
from compose.local.process import Process
from compose.local.rabbitmq import Definitions, RabbitServer

# Membership reconciliation is for 3.13 and newer; before it RabbitMQ does not start with these lines.
RECONCILIATION = """\
quorum_queue.continuous_membership_reconciliation.enabled = true
quorum_queue.continuous_membership_reconciliation.target_group_size = 3
quorum_queue.continuous_membership_reconciliation.trigger_interval = 1000
"""
RECONCILES = (3, 13)
# What moves dead letters sends again after a second without a confirm; by default it waits for three minutes.
ADVANCED = "[{rabbit, [{dead_letter_worker_publisher_confirm_timeout, 1000}]}].\n"


def read_version() -> tuple[int, ...]:
    """The version of the RabbitMQ that is installed here."""
    programs = find_or_install().rabbitmq
    (home,) = programs.parent.glob("lib/rabbitmq_server-*")
    return tuple(map(int, home.name.partition("-")[2].split(".")))


class Node(RabbitServer):
    """A node with the management plugin.

    Args:
        first: the node that it joins; None for the first.
    """

    def __init__(
        self, folder: Path, users: Sequence[str], definitions: Definitions, first: Node | None = None
    ) -> None:
        super().__init__(folder, users, lambda _: definitions(self.passwords))
        self.first = first or self
        self.passwords: dict[str, str] = (
            first.passwords if first else {u: self._kept.secret(u) for u in users}
        )
        self.name = f"{folder.name}@localhost"
        self.management_port = self._kept.port("management")

    def api(self, user: str) -> str:
        """The address of the management API for `user`."""
        return f"http://{user}:{self.passwords[user]}@{ports.LOOPBACK}:{self.management_port}/api/"

    def delete_queue(self, queue: str) -> None:
        self._ask("DELETE", f"queues/{VHOST}/{queue}")

    def load_definitions(self) -> None:
        """Make what is missing of the vhost's exchanges, queues and bindings."""
        self._ask("POST", "definitions", self._definitions(self.passwords))

    def _ask(self, method: str, path: str, body: Any = None) -> None:
        url = f"http://{ports.LOOPBACK}:{self.management_port}/api/{path}"
        login = ("admin", self.passwords["admin"])
        httpx.request(method, url, json=body, auth=login, trust_env=False, timeout=30.0).raise_for_status()

    def grow_queues(self, node: Node) -> None:
        """Let every quorum queue have a member on `node`."""
        subprocess.run(
            [
                str(find_or_install().rabbitmq / "rabbitmq-queues"), "--quiet",
                "grow", node.name, "all", "--vhost-pattern", "^order-saga$",
            ],
            env=self._environment(), cwd=self.folder, check=True, capture_output=True,
        )  # fmt: skip

    def _configure(self) -> dict[str, str]:
        environment = super()._configure()
        with (self.folder / "rabbitmq.conf").open("a") as file:
            file.write(
                f"management.tcp.ip = {ports.LOOPBACK}\nmanagement.tcp.port = {self.management_port}\n"
            )
            file.write("cluster_formation.peer_discovery_backend = classic_config\n")
            file.write(f"cluster_formation.classic_config.nodes.1 = {self.first.name}\n")
            if read_version() >= RECONCILES:
                file.write(RECONCILIATION)
            file.write("collect_statistics_interval = 1000\n")
        (self.folder / "advanced.config").write_text(ADVANCED)
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].")
        return environment

    def _environment(self) -> dict[str, str]:
        own = super()._environment()
        # One port mapper and one cookie for all.
        shared = {"ERL_EPMD_PORT": str(self.first._epmd_port), "HOME": str(self.first.folder / "home")}
        advanced = {"RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config")}
        return {**own, **shared, **advanced, "RABBITMQ_NODENAME": self.name}

    def _start_port_mapper(self, binaries: Binaries, environment: Mapping[str, str]) -> Process:
        if self.first is self:
            return super()._start_port_mapper(binaries, environment)
        return Process(name="no port mapper of its own", argv=[])


def start_cluster(folder: Path, users: Sequence[str], definitions: Definitions) -> list[Node]:
    """Start three nodes; the first loads the definitions while it is alone."""
    first = Node(folder / "node1", users, definitions)
    others = [Node(folder / f"node{number}", users, definitions, first) for number in (2, 3)]
    first.start()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(RabbitServer.start, others))
    return [first, *others]
