"""compose/: that it resolves, and who gets which secret, right and network."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_config.broker.topology import (
    COMMANDS,
    DEAD_LETTERS,
    EVENTS,
    EXCHANGES,
    FLOWER_USER,
    TASK_EVENTS,
    TASKS,
    UNROUTED,
    URGENT_TASKS,
    Topology,
    control_exchange,
)
from celery_config.common.service_calls import name_token, operator_pairs, pairs_of
from celery_config.common.services import ORCHESTRATOR, PARTICIPANTS, SERVICES, SUBSCRIPTIONS
from compose import new_env
from compose.local.environment import WEBHOOKS

TOPOLOGY = Topology.load(SUBSCRIPTIONS)
ROOT = Path(__file__).resolve().parents[3]
COMPOSE = Path(sys.executable).with_name("docker-compose")
EXAMPLE = ROOT / "compose" / ".env.example"
FILE = ROOT / "compose" / "compose.yaml"
PROCESSES = ("migrate", "web", "worker", "relay")
PLACEHOLDER = "change-me"
BROKER_USERS = (*SERVICES, FLOWER_USER, "admin")


def example() -> dict[str, str]:
    """The variables of .env.example."""
    lines = EXAMPLE.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def resolve(environment: dict[str, str], env_file: Path) -> "subprocess.CompletedProcess[str]":
    command = [COMPOSE, "-f", FILE, "--env-file", env_file, "config", "--format", "json"]
    # Only what is set here may stand for what .env would hold.
    plain = {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [str(part) for part in command],
        env={**plain, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def run_script(name: str, environment: dict[str, str], *, path: str) -> "subprocess.CompletedProcess[str]":
    """Run a script of compose/ as a container does, with a command to go on with."""
    return subprocess.run(
        [str(ROOT / "compose" / name), "echo", "started"],
        env={"PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def start(**environment: str) -> "subprocess.CompletedProcess[str]":
    return run_script("entrypoint.sh", environment, path=os.environ["PATH"])


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    """A value for each secret, no two alike."""
    return {name: f"secret-of-{name.lower()}-" for name, value in example().items() if value == PLACEHOLDER}


@pytest.fixture(scope="module")
def system(secrets: dict[str, str]) -> dict[str, Any]:
    done = resolve(secrets, EXAMPLE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def containers(system: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return system["services"]  # type: ignore[no-any-return]


def ours(containers: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((name, c) for name, c in containers.items() if c["image"].startswith("order-saga:"))


class TestConfiguration:
    def test_the_example_resolves(self) -> None:
        done = resolve({}, EXAMPLE)
        assert (done.returncode, done.stderr) == (0, "")

    def test_no_secret_has_a_default(self, secrets: dict[str, str], tmp_path: Path) -> None:
        nothing = tmp_path / "empty"
        nothing.touch()
        done = resolve({}, nothing)
        assert done.returncode != 0
        for name in secrets:
            assert f"required variable {name} is missing" in done.stderr

    def test_a_new_env_file_resolves_and_is_never_overwritten(
        self, secrets: dict[str, str], tmp_path: Path
    ) -> None:
        assert new_env.main(tmp_path) == 0
        made = tmp_path / ".env"
        assert made.stat().st_mode & 0o777 == 0o600
        values = dict(line.split("=", 1) for line in made.read_text().splitlines() if re.match(r"\w+=", line))
        assert len({values[name] for name in secrets}) == len(secrets)
        assert PLACEHOLDER not in values.values()
        assert resolve({}, made).returncode == 0
        before = made.read_text()
        assert new_env.main(tmp_path) == 1
        assert made.read_text() == before

    def test_a_file_of_an_older_version_gets_the_secrets_that_it_lacks(
        self, secrets: dict[str, str], tmp_path: Path
    ) -> None:
        made = tmp_path / ".env"
        assert (new_env.add_missing(tmp_path), new_env.main(tmp_path)) == (1, 0)
        kept = [line for line in made.read_text().splitlines() if "_TO_ORDER_TOKEN=" not in line]
        made.write_text("\n".join(kept))
        assert resolve({}, made).returncode != 0
        assert new_env.add_missing(tmp_path) == 0
        assert made.read_text().splitlines()[: len(kept)] == kept
        assert resolve({}, made).returncode == 0

    def test_each_service_has_its_processes(self, containers: dict[str, dict[str, Any]]) -> None:
        for service in SERVICES:
            for process in PROCESSES:
                command = " ".join(containers[f"{service}-{process}"]["command"])
                assert re.search(rf"\b{service}\b", command), command
        others = {"postgres", "rabbitmq", "configuration", "sandbox", "flower"}
        assert set(containers) == {f"{s}-{p}" for s in SERVICES for p in PROCESSES} | others

    def test_servers_are_of_the_promised_versions_and_pinned(
        self, containers: dict[str, dict[str, Any]]
    ) -> None:
        assert re.fullmatch(r"postgres:17\.\d+-\w+", containers["postgres"]["image"])
        assert re.fullmatch(r"rabbitmq:4\.\d+\.\d+-management", containers["rabbitmq"]["image"])
        bases = re.findall(r"^FROM (\S+)", (ROOT / "compose" / "Dockerfile").read_text(), re.MULTILINE)
        assert len(bases) == 2
        assert all(re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base) for base in bases)

    def test_one_service_builds_the_image_and_nobody_pulls_it(
        self, containers: dict[str, dict[str, Any]]
    ) -> None:
        assert [name for name, container in containers.items() if "build" in container] == ["configuration"]
        assert {container["pull_policy"] for _, container in ours(containers)} == {"never"}

    def test_no_mount_depends_on_the_modes_of_the_checkout(
        self, containers: dict[str, dict[str, Any]]
    ) -> None:
        mounts = [mount for container in containers.values() for mount in container.get("volumes", ())]
        assert {mount["type"] for mount in mounts} == {"volume"}
        # Who only reads a volume does not become its owner while it is empty.
        assert all(
            mount.get("volume", {}).get("nocopy", False) is mount.get("read_only", False) for mount in mounts
        )

    def test_ports_are_configurable(self, secrets: dict[str, str]) -> None:
        moved = {f"{name}_PORT": str(9000 + n) for n, name in enumerate((*SERVICES, "flower", "rabbitmq"))}
        moved = {name.upper(): port for name, port in moved.items()}
        done = resolve({**secrets, **moved}, EXAMPLE)
        services = json.loads(done.stdout)["services"]
        published = [port["published"] for s in services.values() for port in s.get("ports", ())]
        assert sorted(published) == sorted(moved.values())

    def test_services_call_each_other_where_nobody_outside_reaches_them(
        self, containers: dict[str, dict[str, Any]]
    ) -> None:
        called = {"order": PARTICIPANTS, "payment": ["order"], "shipment": ["order"], "inventory": []}
        for service, peers in called.items():
            for process in PROCESSES:
                environment = containers[f"{service}-{process}"]["environment"]
                internal = environment["INTERNAL_PORT"]
                for peer in peers:
                    assert environment[f"{peer.upper()}_URL"] == f"http://{peer}-web:{internal}"
                assert f"--bind=0.0.0.0:{internal}" in containers[f"{service}-web"]["command"]
            assert internal not in [str(port["target"]) for port in containers[f"{service}-web"]["ports"]]
        webhooks = [word for word in containers["sandbox"]["command"] if "-webhook=" in word]
        assert [word.partition("=")[2].rpartition("/api/")[0] for word in webhooks] == [
            f"http://{service}-web:{internal}" for service in WEBHOOKS
        ]

    def test_nobody_starts_before_what_it_needs(self, containers: dict[str, dict[str, Any]]) -> None:
        for service in SERVICES:
            for process in ("web", "worker", "relay"):
                needs = containers[f"{service}-{process}"]["depends_on"]
                assert needs[f"{service}-migrate"]["condition"] == "service_completed_successfully"
                # A web can accept without the broker: its outbox keeps what comes.
                broker = needs.get("rabbitmq", {}).get("condition")
                assert broker == (None if process == "web" else "service_healthy")
            needs = containers[f"{service}-migrate"]["depends_on"]
            assert needs["postgres"]["condition"] == "service_healthy"
        for server in ("postgres", "rabbitmq"):
            needs = containers[server]["depends_on"]
            assert needs["configuration"]["condition"] == "service_completed_successfully"

    def test_what_stays_is_watched_restarted_and_given_time_to_end(
        self, containers: dict[str, dict[str, Any]]
    ) -> None:
        for name, container in containers.items():
            if container["restart"] == "no":
                assert name == "configuration" or name.endswith("-migrate")
            else:
                assert container["restart"] == "unless-stopped"
                assert container["healthcheck"]["test"]
                assert container["stop_grace_period"]
        for service in SERVICES:
            assert "/readyz" in containers[f"{service}-web"]["healthcheck"]["test"][-1]


class TestConfinement:
    def test_nobody_is_root_or_can_become_it(self, containers: dict[str, dict[str, Any]]) -> None:
        for name, container in containers.items():
            assert container["user"].split(":")[0] not in ("", "0", "root"), name
            assert container["cap_drop"] == ["ALL"]
            assert container["security_opt"] == ["no-new-privileges:true"]
            assert not container.get("privileged")
            assert "cap_add" not in container
            assert container["read_only"] is True
            assert int(container["mem_limit"]) <= 2**30

    def test_each_container_gets_its_own_secrets_alone(
        self, containers: dict[str, dict[str, Any]], secrets: dict[str, str]
    ) -> None:
        for name, container in containers.items():
            text = json.dumps(container)
            got = {variable for variable, value in secrets.items() if value in text}
            assert got == self.due(name), name

    @staticmethod
    def due(container: str) -> set[str]:
        """The variables of .env that a container should know."""
        service, _, process = container.rpartition("-")
        if service in SERVICES:
            own = {f"{service}_{n}" for n in ("database_password", "secret_key", "message_keys")}
            # Those with which it is called, and with which it calls.
            own |= {*map(name_token, pairs_of(service))}
            if f"{service}-{process}" == f"{ORCHESTRATOR}-web":
                own |= {*map(name_token, operator_pairs())}
            own |= {f"rabbitmq_{service}_password"}
            if process == "migrate":
                own.add(f"{service}_admin_password")
            if service in WEBHOOKS:
                own.add(f"{service}_webhook_secret")
            if service == ORCHESTRATOR:
                own |= {f"{s}_message_keys" for s in SERVICES}
        else:
            own = {
                "postgres": {"postgres_password", *(f"{s}_database_password" for s in SERVICES)},
                "configuration": {f"rabbitmq_{user}_password" for user in BROKER_USERS},
                "sandbox": {f"{service}_webhook_secret" for service in WEBHOOKS},
                "flower": {"flower_password", "rabbitmq_flower_password"},
            }.get(container, set())
        return {variable.upper() for variable in own}

    def test_no_service_is_told_anothers_database_or_broker(
        self, containers: dict[str, dict[str, Any]]
    ) -> None:
        for service in SERVICES:
            for process in PROCESSES:
                environment = containers[f"{service}-{process}"]["environment"]
                urls = {n for n in environment if n.endswith(("_DATABASE_URL", "_BROKER_URL"))}
                assert urls == {f"{service.upper()}_DATABASE_URL", f"{service.upper()}_BROKER_URL"}
                assert environment["ENVIRONMENT"] == "production"

    def test_only_doors_meant_for_people_open_and_on_this_host_alone(
        self, system: dict[str, Any], containers: dict[str, dict[str, Any]]
    ) -> None:
        published = {
            name: [(port["host_ip"], port["published"]) for port in container["ports"]]
            for name, container in containers.items()
            if "ports" in container
        }
        assert published == {
            **{f"{s}-web": [("127.0.0.1", str(SERVICES[s].port))] for s in SERVICES},
            "flower": [("127.0.0.1", "5555")],
            "rabbitmq": [("127.0.0.1", "15672")],
        }
        inside = {name for name, network in system["networks"].items() if (network or {}).get("internal")}
        assert set(containers["postgres"]["networks"]) <= inside
        # The broker's page and Flower are for operators, and no web shares their way out.
        for name in ("rabbitmq", "flower"):
            assert set(containers[name]["networks"]) - inside == {"operations"}
        assert [n for n, c in containers.items() if "operations" in c.get("networks", ())] == [
            "flower",
            "rabbitmq",
        ]
        assert set(containers["sandbox"]["networks"]) <= inside

    def test_a_placeholder_left_in_place_stops_our_containers(self) -> None:
        refused = start(ORDER_SECRET_KEY=PLACEHOLDER, ORDER_BROKER_URL=f"amqp://order:{PLACEHOLDER}@host/")
        assert refused.returncode == 78
        assert "ORDER_BROKER_URL ORDER_SECRET_KEY" in refused.stderr
        assert start(ORDER_SECRET_KEY="real").stdout == "started\n"

    @pytest.mark.parametrize("password", ["a/b", "a?b", "a#b", "a@b", "a:b", "a%40", "a[b", "a b"])
    def test_a_password_that_breaks_its_address_stops_our_containers(self, password: str) -> None:
        addresses = {
            "ORDER_DATABASE_URL": f"postgres://order:{password}@postgres:5432/order",
            "ORDER_BROKER_URL": f"amqp://order:{password}@rabbitmq:5672/order-saga",
            "FLOWER_BROKER_API": f"http://flower:{password}@rabbitmq:15672/api/",
            "RABBITMQ_ORDER_PASSWORD": password,
        }
        for name, value in addresses.items():
            refused = start(**{name: value})
            assert (refused.returncode, refused.stdout) == (78, "")
            assert f" {name} -" in refused.stderr
            assert password not in refused.stderr

    def test_an_address_that_works_is_let_through(self) -> None:
        fine = start(
            ORDER_DATABASE_URL="postgres://order:Aa0-._~!$&*+=@db.example.com:5432/order?sslmode=require",
            ORDER_BROKER_URL="amqp://order:secret@one:5672/order-saga;amqp://order:secret@two:5672/order-saga",
            PAYMENT_DATABASE_URL="postgres://payment@postgres/payment",
            RABBITMQ_ADMIN_PASSWORD="any/thing: it is in no address",
            ORDER_URL="http://localhost:8001",
        )
        assert (fine.stdout, fine.stderr) == ("started\n", "")

    @pytest.mark.parametrize("password", ["", PLACEHOLDER, "a/b", "a%40", "a b"])
    def test_postgres_refuses_a_wrong_password_before_it_makes_its_volume(
        self, password: str, tmp_path: Path
    ) -> None:
        initdb = tmp_path / "docker-entrypoint.sh"
        initdb.write_text("#!/bin/sh\necho made a volume\n")
        initdb.chmod(0o755)

        def start_postgres(**environment: str) -> "subprocess.CompletedProcess[str]":
            passwords = {f"{service.upper()}_DATABASE_PASSWORD": "fine" for service in SERVICES}
            return run_script(
                "postgres/entrypoint.sh",
                {"POSTGRES_PASSWORD": "fine", **passwords, **environment},
                path=f"{tmp_path}:{os.environ['PATH']}",
            )

        refused = start_postgres(SHIPMENT_DATABASE_PASSWORD=password)
        assert (refused.returncode, refused.stdout) == (78, "")
        assert "SHIPMENT_DATABASE_PASSWORD" in refused.stderr
        assert start_postgres().stdout == "made a volume\n"

    def test_the_image_holds_no_secret_file(self) -> None:
        left_out = (ROOT / "compose" / "Dockerfile.dockerignore").read_text().splitlines()
        assert left_out[0] == "*"
        assert left_out.index("compose/.env") > left_out.index("!compose")


@pytest.fixture(scope="module")
def rendered() -> dict[str, Any]:
    """What `./manage.py topology` prints."""
    passwords = {f"RABBITMQ_{user.upper()}_PASSWORD": f"of-{user}" for user in BROKER_USERS}
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "topology"],
        env={"PATH": os.environ["PATH"], **passwords},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


class TestDefinitions:
    """What the broker is told, evaluated as it would: each permission is a regular expression on a name."""

    def test_the_command_renders_the_table(self, rendered: dict[str, Any]) -> None:
        from_table = TOPOLOGY.definitions({user: f"of-{user}" for user in BROKER_USERS})
        assert {**rendered, "users": []} == {**from_table, "users": []}
        assert [user["name"] for user in rendered["users"]] == list(BROKER_USERS)
        assert "of-order" not in json.dumps(rendered)

    @staticmethod
    def may(rendered: dict[str, Any], user: str, right: str, name: str) -> bool:
        (permission,) = [p for p in rendered["permissions"] if p["user"] == user]
        return re.search(permission[right], name) is not None

    def test_each_user_reads_its_own_queues_alone(self, rendered: dict[str, Any]) -> None:
        for user in (*SERVICES, FLOWER_USER):
            own = set(TOPOLOGY.worker_queues(user)) if user in SERVICES else {TASK_EVENTS}
            own |= {DEAD_LETTERS, UNROUTED} if user == ORCHESTRATOR else set()
            names = {queue.name for queue in TOPOLOGY.queues()} | set(EXCHANGES)
            assert {n for n in names if self.may(rendered, user, "read", n)} == own

    def test_nobody_configures_what_is_shared(self, rendered: dict[str, Any]) -> None:
        for user in (*SERVICES, FLOWER_USER):
            for name in ["", *EXCHANGES, *(queue.name for queue in TOPOLOGY.queues())]:
                assert not self.may(rendered, user, "configure", name)

    def test_services_write_to_shared_exchanges_and_flower_to_none(self, rendered: dict[str, Any]) -> None:
        for user in (*SERVICES, FLOWER_USER):
            written = {name for name in ("", *EXCHANGES) if self.may(rendered, user, "write", name)}
            assert written == (
                {TASKS, URGENT_TASKS, COMMANDS, EVENTS, TASK_EVENTS} if user in SERVICES else set()
            )

    def test_remote_control_stays_within_a_service(self, rendered: dict[str, Any]) -> None:
        for user in (*SERVICES, FLOWER_USER):
            for service in SERVICES:
                mailbox = f"{control_exchange(service)}.pidbox"
                for name in (
                    mailbox,
                    f"{service}@host.{mailbox}",
                    f"reply.{mailbox}",
                    f"0-0.reply.{mailbox}",
                ):
                    for right in ("configure", "write", "read"):
                        assert self.may(rendered, user, right, name) is (user == service)
                assert not self.may(rendered, user, "configure", f"x{mailbox}")
