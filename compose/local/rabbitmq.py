"""A private RabbitMQ on the loopback address: its port mapper, node name and ports are its own."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from celery_config.broker.topology import VHOST
from compose.local import ports
from compose.local.errors import ServerFailed
from compose.local.folders import make_folder
from compose.local.packages import Binaries, find_or_install
from compose.local.private_files import write_private
from compose.local.process import Process
from compose.local.readiness import listens
from compose.local.server import PrivateServer

_CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{node_port}
loopback_users = none
heartbeat = 30
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 50MB
max_message_size = 2097152
load_definitions = {definitions}
log.console = true
log.console.level = info
log.file = false
"""

# A client of AMQP 0-9-1 begins with this; the first byte of the server's answer marks a method frame.
_GREETING, _METHOD_FRAME = b"AMQP\x00\x00\x09\x01", b"\x01"

# The data belong to this name, so it stays the same when the ports change. The private port mapper keeps it apart from
# other nodes of that name.
_NODE = "order-saga@localhost"

# When a node dies within milliseconds of making a quorum queue, the queue comes back with an empty log, and RabbitMQ
# (3.10) calls no election: the queue has no leader and takes nothing, and is still listed as running.
_ELECT = (
    "case ets:whereis(ra_state) of undefined -> none; States -> "
    "[ra:trigger_election({Queue, node()}) || {Queue, follower} <- ets:tab2list(States)] end."
)

Definitions = Callable[[dict[str, str]], Mapping[str, Any]]


class RabbitServer(PrivateServer):
    """One node with all its files in one folder.

    Args:
        folder: keeps all its files.
        users: those for whom a password is made.
        definitions: makes, from the passwords by user, what the node loads at its start: users, vhost, permissions,
            exchanges, queues (RabbitMQ's definitions format).
        log: the file that receives the node's output.
    """

    title = "RabbitMQ"

    def __init__(
        self,
        folder: Path,
        users: Sequence[str],
        definitions: Definitions,
        *,
        log: Path | None = None,
    ) -> None:
        super().__init__(folder, log or folder / "rabbitmq.log")
        self._users = tuple(users)
        self._definitions = definitions
        self.port = self._kept.port("node")
        self._distribution_port = self._kept.port("distribution")
        self._epmd_port = self._kept.port("epmd")
        self._epmd: Process | None = None

    def url(self, user: str) -> str:
        """Return the address of the vhost for `user`."""
        return f"amqp://{user}:{self._kept.secret(user)}@{ports.LOOPBACK}:{self.port}/{VHOST}"

    def start(self, timeout: float = 60.0) -> None:
        """Start the node on its data, if there are any, and load the definitions.

        Raises:
            ProcessFailed: it ended, or was not ready within `timeout` seconds.
            PackagesMissing: RabbitMQ is not installed.
        """
        binaries = find_or_install()
        has_data = (self.folder / "mnesia").exists()
        environment = self._configure()
        self._epmd = self._start_port_mapper(binaries, environment)
        self._process = Process(
            name="rabbitmq",
            argv=[str(binaries.rabbitmq / "rabbitmq-server")],
            # So the script becomes the node instead of waiting for it, and the end that we see is the node's own.
            env={**environment, "detached": "yes"},
            cwd=self.folder,
            log=self._log,
            deaths=self.deaths,
            # The node listens last, after the definitions are loaded.
            ready=lambda _: self._greets(),
        )
        self._process.start()
        self._process.wait_until_ready(timeout)
        if has_data:
            self.ctl("eval", _ELECT)

    def stop(self) -> None:
        """Stop the node in good order, then its port mapper; the data stay."""
        super().stop()
        if self._epmd:
            self._epmd.stop()

    def kill(self) -> None:
        """Kill the node and its port mapper at once, as a power cut would."""
        if self._process:
            self._process.kill()
        if self._epmd:
            self._epmd.kill()

    def _delete_data(self) -> None:
        shutil.rmtree(self.folder / "mnesia", ignore_errors=True)

    def ctl(self, *arguments: str, timeout: float = 60.0) -> str:
        """Run `rabbitmqctl` against the node: `ctl("list_queues", "-p", VHOST, "--formatter=json")`.

        Returns:
            What it printed.

        Raises:
            ServerFailed: it failed; says what it printed.
        """
        done = subprocess.run(
            [str(find_or_install().rabbitmq / "rabbitmqctl"), "--quiet", *arguments],
            env=self._environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            raise ServerFailed(f"rabbitmqctl {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def _greets(self) -> bool:
        try:
            with socket.create_connection((ports.LOOPBACK, self.port), timeout=5) as connection:
                connection.sendall(_GREETING)
                return connection.recv(1) == _METHOD_FRAME
        except OSError:
            return False

    def _start_port_mapper(self, binaries: Binaries, environment: Mapping[str, str]) -> Process:
        """Start Erlang's port mapper as a process of ours: a mapper that the node starts would outlive the node."""
        epmd = Process(
            name="epmd",
            argv=[str(binaries.epmd), "-address", ports.LOOPBACK, "-port", str(self._epmd_port)],
            env=environment,
            cwd=self.folder,
            log=self.folder / "epmd.log",
            ready=listens(self._epmd_port),
        )
        epmd.start()
        epmd.wait_until_ready(timeout=10.0)
        return epmd

    def _configure(self) -> dict[str, str]:
        for name in ("home", "mnesia", "generated"):
            make_folder(self.folder / name)
        passwords = {user: self._kept.secret(user) for user in self._users}
        definitions = self.folder / "definitions.json"
        write_private(definitions, json.dumps(self._definitions(passwords), indent=1))
        configuration = _CONFIGURATION.format(node_port=self.port, definitions=definitions)
        for name, text in (
            ("rabbitmq.conf", configuration),
            ("enabled_plugins", "[]."),
            ("rabbitmq-env.conf", ""),
        ):
            write_private(self.folder / name, text)
        return self._environment()

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(folder / "home"),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": ports.LOOPBACK,
            "RABBITMQ_NODENAME": _NODE,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": ports.LOOPBACK,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_PID_FILE": str(folder / "node.pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
        }
