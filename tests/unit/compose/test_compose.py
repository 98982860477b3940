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
from celery_config.common.secret_files import SECRET
from celery_config.common.service_calls import (
    list_operator_pairs,
    list_token_variables,
    name_shared_token,
    name_token,
)
from celery_config.common.services import ORCHESTRATOR, PARTICIPANTS, SERVICES, SUBSCRIPTIONS
from compose import new_env, pin_images
from compose.local.environment import WEBHOOKS

TOPOLOGY = Topology.load(SUBSCRIPTIONS)
ROOT = Path(__file__).resolve().parents[3]
COMPOSE = Path(sys.executable).with_name("docker-compose")
EXAMPLE = ROOT / "compose" / ".env.example"
FILE = ROOT / "compose" / "compose.yaml"
PROCESSES = ("migrate", "web", "worker", "relay")
PLACEHOLDER = "change-me"
MONITORING = ("prometheus", "grafana")
BROKER_USERS = (*SERVICES, FLOWER_USER, "admin")


def example() -> dict[str, str]:
    """The variables of .env.example."""
    lines = EXAMPLE.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def resolve(environment: dict[str, str], env_file: Path) -> "subprocess.CompletedProcess[str]":
    command = [COMPOSE, "-f", FILE, "--env-file", env_file, "--profile", "*", "config", "--format", "json"]
    # Only what is set here may stand for what .env would hold.
    plain = {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [str(part) for part in command],
        env={**plain, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def start(**environment: str) -> "subprocess.CompletedProcess[str]":
    """Start a command as a container does, through the entry point."""
    return run_entrypoint(ROOT / "compose" / "entrypoint.sh", environment)


def start_with_files(folder: Path, *variables: str) -> "subprocess.CompletedProcess[str]":
    """The same, with secrets in the files of a folder that stands for /run/secrets."""
    script = folder / "entrypoint.sh"
    script.write_text((ROOT / "compose" / "entrypoint.sh").read_text().replace("/run/secrets/", f"{folder}/"))
    return run_entrypoint(script, {f"{name}_FILE": str(folder / name.lower()) for name in variables})


def run_entrypoint(script: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", script, "echo", "started"],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    """The file of each secret, as the containers see it."""
    return {name: f"/run/secrets/{name.lower()}" for name in new_env.find_secrets(EXAMPLE.read_text())}


@pytest.fixture(scope="module")
def system() -> dict[str, Any]:
    done = resolve({}, EXAMPLE)
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

    def test_each_secret_is_a_file_and_in_no_environment(
        self, system: dict[str, Any], containers: dict[str, dict[str, Any]], secrets: dict[str, str]
    ) -> None:
        assert set(system["secrets"]) == {name.lower() for name in secrets}
        folder = ROOT / "compose" / "secrets"
        assert {secret["file"] for secret in system["secrets"].values()} == {
            str(folder / name.lower()) for name in secrets
        }
        for name, container in containers.items():
            environment = container.get("environment", {})
            secret = {key: value for key, value in environment.items() if SECRET.search(key)}
            # Without a mail server EMAIL_URL is empty.
            assert [key for key, value in secret.items() if value and "@" not in value] == []
            # An address names its user alone.
            addresses = [value for value in environment.values() if "://" in value and "@" in value]
            assert all(re.fullmatch(r"\w+://\w+@[^@]+", address) for address in addresses), name

    def test_what_is_new_is_made_and_what_is_there_stays(
        self, secrets: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert new_env.main(tmp_path) == 0
        env, store = tmp_path / ".env", tmp_path / "secrets"
        # Containers run as other users than the owner of the closed folder, and each file is mounted alone.
        assert [path.stat().st_mode & 0o777 for path in (env, store)] == [0o600, 0o700]
        made = {name: (store / name.lower()).read_text() for name in secrets}
        by_hand = {name for name, value in made.items() if not value}
        for name in secrets:
            # No container can write into them, and their owner only into those that are filled by hand.
            mode = (store / name.lower()).stat().st_mode & 0o777
            assert mode == (0o644 if name in by_hand else 0o444), name
        assert by_hand == {
            "EMAIL_PASSWORD", "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", *map(name_shared_token, SERVICES),
        }  # fmt: skip
        assert len({*made.values()}) == len(made) - len(by_hand) + 1
        # Django asks for 50 characters and 5 different ones.
        assert all(
            len(value) >= 50 and len({*value}) >= 5 for name, value in made.items() if name not in by_hand
        )
        assert not {*made} & {line.partition("=")[0] for line in env.read_text().splitlines()}
        assert resolve({}, env).returncode == 0
        before = env.read_text()
        capsys.readouterr()
        assert new_env.main(tmp_path) == 0
        assert "nothing, all is there" in capsys.readouterr().out
        assert env.read_text() == before
        assert {name: (store / name.lower()).read_text() for name in secrets} == made

    def test_the_secrets_of_an_older_installation_move_into_their_files(
        self, secrets: dict[str, str], tmp_path: Path
    ) -> None:
        older = {name: f"old-{name}" for name in secrets if not re.search("OWNER|_TO_", name)}
        env = tmp_path / ".env"
        kept = "# mine\nTLS=true\nORDER_HOSTS=order.example.com\n"
        env.write_text(kept + "".join(f"{name}={value}\n" for name, value in older.items()))
        assert new_env.main(tmp_path) == 0
        assert env.read_text() == kept
        for name in secrets:
            value = (tmp_path / "secrets" / name.lower()).read_text()
            assert value == older[name] if name in older else re.fullmatch("[0-9a-f]{64}", value)

    def test_images_are_pinned_to_what_the_registry_names(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert pin_images.main(tmp_path) == 1  # there is no .env yet
        new_env.main(tmp_path)
        docker = tmp_path / "docker"
        docker.write_text('#!/bin/sh\ncase "$4" in rabbitmq*) echo no such tag >&2; exit 1;; esac\n')
        docker.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        before = (tmp_path / ".env").read_text()
        assert pin_images.main(tmp_path) == 1
        assert "has no digest" in capsys.readouterr().err
        assert (tmp_path / ".env").read_text() == before
        digest = "sha256:" + "ab" * 32
        docker.write_text(f'#!/bin/sh\n[ "$1 $2 $3" = "buildx imagetools inspect" ] && echo {digest}\n')
        for _ in range(2):
            assert pin_images.main(tmp_path) == 0
        assert (tmp_path / ".env").read_text().count("POSTGRES_IMAGE=") == 1
        services = json.loads(resolve({}, tmp_path / ".env").stdout)["services"]
        assert re.fullmatch(rf"postgres:17\.\d+-\w+@{digest}", services["postgres"]["image"])
        assert re.fullmatch(rf"rabbitmq:4\.\d+\.\d+-management@{digest}", services["rabbitmq"]["image"])
        assert services["configuration"]["build"]["args"]["PYTHON_IMAGE"].endswith(f"@{digest}")

    def test_each_service_has_its_processes(self, containers: dict[str, dict[str, Any]]) -> None:
        for service in SERVICES:
            for process in PROCESSES:
                command = " ".join(containers[f"{service}-{process}"]["command"])
                assert re.search(rf"\b{service}\b", command), command
        others = {"postgres", "rabbitmq", "configuration", "sandbox", "flower", *MONITORING}
        others.add(f"{ORCHESTRATOR}-notifier")
        assert set(containers) == {f"{s}-{p}" for s in SERVICES for p in PROCESSES} | others

    def test_servers_are_of_the_promised_versions_and_pinned(
        self, containers: dict[str, dict[str, Any]]
    ) -> None:
        assert re.fullmatch(r"postgres:17\.\d+-\w+", containers["postgres"]["image"])
        assert re.fullmatch(r"rabbitmq:4\.\d+\.\d+-management", containers["rabbitmq"]["image"])
        assert re.fullmatch(r"prom/prometheus:v3\.\d+\.\d+", containers["prometheus"]["image"])
        assert re.fullmatch(r"grafana/grafana:\d+\.\d+\.\d+", containers["grafana"]["image"])
        dockerfile = (ROOT / "compose" / "Dockerfile").read_text()
        (base,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)", dockerfile, re.MULTILINE)
        assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base)
        assert base == containers["configuration"]["build"]["args"]["PYTHON_IMAGE"]
        assert re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE) == ["${PYTHON_IMAGE}"] * 2

    def test_nothing_can_be_installed_into_a_running_container(self) -> None:
        build, final = (ROOT / "compose" / "Dockerfile").read_text().split("\nFROM ")[1:]
        assert "venv --without-pip" in build
        assert re.search(r"pip uninstall .*pip\b", final)
        assert "ensurepip" in final

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

    def test_ports_are_configurable(self) -> None:
        moved = {
            f"{name}_PORT": str(9000 + n)
            for n, name in enumerate((*SERVICES, "flower", "rabbitmq", "grafana"))
        }
        moved = {name.upper(): port for name, port in moved.items()}
        done = resolve(moved, EXAMPLE)
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
        for server in ("postgres", "rabbitmq", *MONITORING):
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
            assert 0 < container["pids_limit"] <= 1024

    def test_each_container_gets_its_own_secrets_alone(
        self, containers: dict[str, dict[str, Any]], secrets: dict[str, str]
    ) -> None:
        for name, container in containers.items():
            mounted = {f"/run/secrets/{secret['source']}" for secret in container.get("secrets", ())}
            named = {
                value for key, value in container.get("environment", {}).items() if key.endswith("_FILE")
            }
            assert mounted == {value for value in named if value.startswith("/run/secrets/")}, name
            got = {variable for variable, file in secrets.items() if file in mounted}
            assert got == self.due(name), name

    @staticmethod
    def due(container: str) -> set[str]:
        """The variables of .env that a container should know."""
        service, _, process = container.rpartition("-")
        if service in SERVICES:
            own = {f"{service}_{n}" for n in ("database_password", "secret_key", "message_keys")}
            # Those with which it is called, and with which it calls.
            own |= list_token_variables(service)
            if f"{service}-{process}" == f"{ORCHESTRATOR}-web":
                own |= {*map(name_token, list_operator_pairs())}
            own |= {f"rabbitmq_{service}_password"}
            if process == "migrate":
                own |= {f"{service}_admin_password", f"{service}_owner_database_password"}
            if service in WEBHOOKS:
                own.add(f"{service}_webhook_secret")
            if service == "payment":
                own |= {"stripe_api_key", "stripe_webhook_secret"}
            if service == ORCHESTRATOR:
                own |= {"email_password", *(f"{s}_message_keys" for s in SERVICES)}
        else:
            own = {
                "postgres": {
                    "postgres_password",
                    *(f"{s}{role}_database_password" for s in SERVICES for role in ("", "_owner")),
                },
                "configuration": {f"rabbitmq_{user}_password" for user in BROKER_USERS},
                "sandbox": {f"{service}_webhook_secret" for service in WEBHOOKS},
                "flower": {"flower_password", "rabbitmq_flower_password"},
                "grafana": {"grafana_password"},
            }.get(container, set())
        return {variable.upper() for variable in own}

    def test_no_service_is_told_anothers_database_or_broker(
        self, containers: dict[str, dict[str, Any]]
    ) -> None:
        for service in SERVICES:
            for process in PROCESSES:
                environment = containers[f"{service}-{process}"]["environment"]
                urls = {n for n in environment if n.endswith(("_DATABASE_URL", "_BROKER_URL"))}
                own = {f"{service.upper()}_DATABASE_URL", f"{service.upper()}_BROKER_URL"}
                # Only the container that migrates logs in as the owner of the tables.
                assert urls == own | (
                    {f"{service.upper()}_OWNER_DATABASE_URL"} if process == "migrate" else set()
                )
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
            "grafana": [("127.0.0.1", "3000")],
        }
        inside = {name for name, network in system["networks"].items() if (network or {}).get("internal")}
        assert set(containers["postgres"]["networks"]) <= inside
        # These pages are for operators, and no web shares their way out.
        for name in ("rabbitmq", "flower", "grafana"):
            assert set(containers[name]["networks"]) - inside == {"operations"}
        assert [n for n, c in containers.items() if "operations" in c.get("networks", ())] == [
            "flower",
            "grafana",
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

    @pytest.mark.parametrize("text", [None, PLACEHOLDER])
    def test_a_secret_without_its_file_stops_our_containers(self, text: str | None, tmp_path: Path) -> None:
        file = tmp_path / "order_secret_key"
        if text:
            file.write_text(text)
        refused = start_with_files(tmp_path, "ORDER_SECRET_KEY")
        assert (refused.returncode, refused.stdout) == (78, "")
        assert "Set ORDER_SECRET_KEY: compose/secrets/order_secret_key is missing" in refused.stderr
        file.write_text("")  # as that of Stripe's key, when Stripe is not used
        assert start_with_files(tmp_path, "ORDER_SECRET_KEY").stdout == "started\n"

    @pytest.mark.parametrize("password", [None, "", PLACEHOLDER])
    def test_a_missing_password_stops_postgres_before_it_makes_its_volume(
        self, password: str | None, tmp_path: Path
    ) -> None:
        variables = ["POSTGRES_PASSWORD", *(f"{service.upper()}_DATABASE_PASSWORD" for service in SERVICES)]
        for variable in variables:
            (tmp_path / variable.lower()).write_text("any/thing: it is quoted")
        assert start_with_files(tmp_path, *variables).stdout == "started\n"
        wrong = tmp_path / "shipment_database_password"
        wrong.unlink() if password is None else wrong.write_text(password)
        refused = start_with_files(tmp_path, *variables)
        assert (refused.returncode, refused.stdout) == (78, "")
        assert "Set SHIPMENT_DATABASE_PASSWORD" in refused.stderr

    def test_postgres_goes_on_to_the_entry_point_of_its_image(self, containers: dict[str, Any]) -> None:
        folder = "/docker-entrypoint-initdb.d"
        assert containers["postgres"]["entrypoint"] == ["sh", f"{folder}/entrypoint", "docker-entrypoint.sh"]

    def test_postgres_gets_all_its_files_and_runs_one_of_them_by_itself(self) -> None:
        installed = re.findall(
            r"^install -m 0\d+ compose/(?:postgres/)?(\S+) /postgres/(\S*)$",
            (ROOT / "compose" / "configure.sh").read_text(),
            re.MULTILINE,
        )
        own = {path.name for path in (ROOT / "compose" / "postgres").iterdir()}
        assert {source for source, _ in installed} == own | {"entrypoint.sh"}
        names = [target or source for source, target in installed]
        # The image runs what ends so in a new volume.
        assert [name for name in names if name.endswith((".sh", ".sql"))] == ["services.sh"]

    def test_the_image_holds_no_secret_file(self) -> None:
        left_out = (ROOT / "compose" / "Dockerfile.dockerignore").read_text().splitlines()
        assert left_out[0] == "*"
        for secret in ("compose/.env", "compose/secrets"):
            assert left_out.index(secret) > left_out.index("!compose")


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
