"""The private PostgreSQL and RabbitMQ: life, death, and who may go where."""

import json
import os
import re
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from kombu import Connection
from psycopg.conninfo import conninfo_to_dict

from celery_config.broker import topology
from celery_config.broker.topology import VHOST, Topology
from celery_config.common.services import SERVICES, SUBSCRIPTIONS
from compose.local import ports
from compose.local.environment import ROOT, Addresses, build
from compose.local.errors import FolderInUse, ServerFailed
from compose.local.packages import find_or_install
from compose.local.postgres import PostgresServer
from compose.local.rabbitmq import RabbitServer
from compose.local.stack import Stack

TOPOLOGY = Topology.load(SUBSCRIPTIONS)
ADMINISTRATOR = "admin"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("postgres"), SERVICES)
    server.start()
    yield server
    server.stop()
    server.wipe()


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    server = RabbitServer(
        tmp_path_factory.mktemp("rabbitmq"), (*SERVICES, ADMINISTRATOR), TOPOLOGY.definitions
    )
    server.start()
    yield server
    server.kill()


def make_services(server: PostgresServer, **passwords: str | None) -> "subprocess.CompletedProcess[str]":
    """Run the script that makes roles and databases in a new volume; a password that is None is not set."""
    address = conninfo_to_dict(server.superuser_url())
    given = {f"{service.upper()}_DATABASE_PASSWORD": "secret" for service in SERVICES} | passwords
    return subprocess.run(
        [ROOT / "compose" / "postgres" / "services.sh"],
        env={
            "PATH": f"{find_or_install().postgres}:{os.environ['PATH']}",
            "PGHOST": str(address["host"]),
            "PGPORT": str(address["port"]),
            "PGPASSWORD": str(address["password"]),
            "POSTGRES_USER": "postgres",
            "POSTGRES_DB": "postgres",
            **{name: password for name, password in given.items() if password is not None},
        },
        capture_output=True,
        text=True,
        check=False,
    )


class TestPostgres:
    @pytest.mark.parametrize("role", SERVICES)
    @pytest.mark.parametrize("database", [*SERVICES, "postgres", "template1"])
    def test_a_role_reaches_its_own_database_alone(
        self, postgres: PostgresServer, role: str, database: str
    ) -> None:
        if role == database:
            with psycopg.connect(postgres.url(role)) as connection:
                connection.execute("CREATE TABLE may_create (id int)")
                connection.rollback()
        else:
            with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
                psycopg.connect(postgres.url(database, role))

    def test_the_password_is_asked_for(self, postgres: PostgresServer) -> None:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(f"postgres://order:wrong@{ports.LOOPBACK}:{postgres.port}/order")

    def test_a_role_may_not_create_databases_or_let_others_in(self, postgres: PostgresServer) -> None:
        with (
            psycopg.connect(postgres.url("order"), autocommit=True) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("CREATE DATABASE test_order")
        with psycopg.connect(postgres.superuser_url()) as connection:
            allowed = connection.execute(
                "SELECT count(*) FROM pg_database d, pg_roles r WHERE datname <> rolname"
                " AND rolname = ANY(%s) AND datallowconn AND has_database_privilege(r.oid, d.oid, 'CONNECT')",
                [list(SERVICES)],
            ).fetchone()
        assert allowed == (0,)

    def test_what_is_committed_is_on_disk(self, postgres: PostgresServer) -> None:
        with psycopg.connect(postgres.url("order")) as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)

    @pytest.mark.parametrize("end", ["stop", "kill"])
    def test_data_and_port_outlive_an_end(self, postgres: PostgresServer, end: str) -> None:
        port = postgres.port
        with psycopg.connect(postgres.url("order")) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (what text)")
            connection.execute("INSERT INTO kept VALUES (%s)", [end])
        open_while_it_ends = psycopg.connect(postgres.url("order"))
        getattr(postgres, end)()
        with pytest.raises(psycopg.OperationalError):
            open_while_it_ends.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(postgres.url("order"))
        postgres.start()
        assert postgres.port == port
        with psycopg.connect(postgres.url("order")) as connection:
            assert connection.execute("SELECT 1 FROM kept WHERE what = %s", [end]).fetchone() == (1,)
        assert postgres.deaths.empty()

    def test_for_tests_each_role_makes_and_reaches_its_test_databases(self, tmp_path: Path) -> None:
        server = PostgresServer(tmp_path, ["order", "payment"], for_tests=True)
        server.start()
        try:
            with psycopg.connect(server.url("postgres", "order"), autocommit=True) as connection:
                for name in ("test_order", "test_order_gw0"):
                    connection.execute(f"CREATE DATABASE {name}")
                    psycopg.connect(server.url(name, "order")).close()
                    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
                        psycopg.connect(server.url(name, "payment"))
        finally:
            server.stop()
            server.wipe()

    def test_the_health_check_of_the_containers_asks_for_what_is_made_last(self, tmp_path: Path) -> None:
        (question,) = re.findall(r'--command="(.+?)"', (ROOT / "compose" / "compose.yaml").read_text())
        server = PostgresServer(tmp_path, [])
        server.start()
        try:
            with psycopg.connect(server.superuser_url(), autocommit=True) as connection:
                # As PostgreSQL makes a new volume.
                connection.execute("GRANT CONNECT ON DATABASE postgres, template1 TO PUBLIC")
                assert connection.execute(question).fetchone() == (True,)  # healthy is false
                found = make_services(server, SHIPMENT_DATABASE_PASSWORD=None)
                assert found.returncode != 0
                assert connection.execute(question).fetchone() == (True,)
                for service in SERVICES:
                    connection.execute(f'DROP DATABASE IF EXISTS "{service}"')
                    connection.execute(f'DROP ROLE IF EXISTS "{service}"')
                found = make_services(server)
                assert found.returncode == 0, found.stderr
                assert connection.execute(question).fetchone() == (False,)
        finally:
            server.stop()
            server.wipe()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another user")
    def test_a_folder_out_of_the_servers_reach_is_replaced_and_remembered(self, tmp_path: Path) -> None:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        server = PostgresServer(closed / "postgres", ["order"])
        server.start()
        elsewhere = Path((closed / "postgres" / "location").read_text())
        server.stop()
        again = PostgresServer(closed / "postgres", ["order"])
        again.start()
        psycopg.connect(again.url("order")).close()
        assert (elsewhere / "data" / "PG_VERSION").exists()
        with pytest.raises(ServerFailed, match="stop it before"):
            again.wipe()
        again.stop()
        again.wipe()
        assert not elsewhere.exists()


class TestRabbit:
    def test_life_and_death(self, rabbitmq: RabbitServer) -> None:
        """A stop keeps messages, a kill too, a wipe none; address and passwords stay the same."""
        address = rabbitmq.url(ADMINISTRATOR)
        self.publish(address)
        rabbitmq.stop()
        assert not ports.accepts(rabbitmq.port)
        rabbitmq.start()
        assert self.reaches(rabbitmq, 1)
        self.publish(address)
        rabbitmq.kill()
        assert not ports.accepts(rabbitmq.port)
        rabbitmq.start()
        assert self.reaches(rabbitmq, 2)
        with pytest.raises(ServerFailed, match="stop it before"):
            rabbitmq.wipe()
        rabbitmq.kill()
        rabbitmq.wipe()
        rabbitmq.start()
        assert self.reaches(rabbitmq, 0)
        self.publish(address)
        assert rabbitmq.url(ADMINISTRATOR) == address
        assert rabbitmq.deaths.empty()

    def test_queues_that_were_just_made_when_it_died_take_messages_again(
        self, rabbitmq: RabbitServer
    ) -> None:
        rabbitmq.kill()
        rabbitmq.wipe()
        rabbitmq.start()
        rabbitmq.kill()
        rabbitmq.start()
        options = {"confirm_publish": True}
        with Connection(rabbitmq.url(ADMINISTRATOR), transport_options=options) as connection:
            for queue in TOPOLOGY.queues():
                connection.Producer().publish(
                    "", exchange="", routing_key=queue.name, timeout=5, confirm_timeout=5
                )

    def test_each_service_may_log_in(self, rabbitmq: RabbitServer) -> None:
        for service in SERVICES:
            with Connection(rabbitmq.url(service)) as connection:
                connection.ensure_connection(max_retries=1)

    def test_nothing_listens_beyond_the_loopback_address(self, rabbitmq: RabbitServer) -> None:
        addresses = {
            connection.laddr.ip
            for child in [
                rabbitmq.process.pid,
                *[p.pid for p in psutil.Process(rabbitmq.process.pid).children(recursive=True)],
            ]
            for connection in psutil.Process(child).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        assert addresses == {ports.LOOPBACK}

    def test_a_command_that_fails_says_why(self, rabbitmq: RabbitServer) -> None:
        with pytest.raises(ServerFailed, match="no_such_command"):
            rabbitmq.ctl("no_such_command")

    def test_the_node_lists_its_queues_and_their_policies(self, rabbitmq: RabbitServer) -> None:
        columns = ("name", "type", "policy")
        listed = json.loads(rabbitmq.ctl("list_queues", "-p", VHOST, *columns, "--formatter=json"))
        found = {queue["name"]: (queue["type"], queue["policy"]) for queue in listed}
        assert found["order.commands"] == ("quorum", "dead-lettered-at-least-once")
        assert found[topology.DEAD_LETTERS] == found[topology.UNROUTED] == ("quorum", "kept")

    @staticmethod
    def publish(address: str) -> None:
        with Connection(address, transport_options={"confirm_publish": True}) as connection:
            connection.Producer().publish(
                "", exchange="commands", routing_key="order", delivery_mode=2, mandatory=True
            )

    @staticmethod
    def reaches(server: RabbitServer, depth: int) -> bool:
        """Whether the queue holds `depth` messages, once it has read its log again after a start."""
        deadline = time.monotonic() + 5.0
        with Connection(server.url(ADMINISTRATOR)) as connection:
            # What rabbitmqctl lists of a quorum queue is seconds old; the queue itself knows better.
            while (
                connection.default_channel.queue_declare("order.commands", passive=True).message_count
                != depth
            ):
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.05)
        return True


def test_passwords_are_for_their_owner_alone(postgres: PostgresServer, rabbitmq: RabbitServer) -> None:
    for folder in (postgres.folder, rabbitmq.folder):
        for name in ("kept.json", "definitions.json"):
            if (folder / name).exists():
                assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_one_stack_a_folder(tmp_path: Path) -> None:
    first = Stack("embedded", var=tmp_path)
    with pytest.raises(FolderInUse, match="another stack runs in"):
        Stack("embedded", var=tmp_path)
    first.stop()
    Stack("embedded", var=tmp_path).stop()


def test_the_environment_names_the_servers_and_stays_the_same(
    postgres: PostgresServer, rabbitmq: RabbitServer, tmp_path: Path
) -> None:
    addresses = Addresses.choose(tmp_path)

    def made(**environ: str) -> dict[str, str]:
        return build(
            "servers",
            var=tmp_path,
            addresses=addresses,
            postgres=postgres,
            rabbitmq=rabbitmq,
            environ=environ,
        )

    environment = made()
    assert environment["ORDER_DATABASE_URL"] == postgres.url("order")
    assert environment["PAYMENT_BROKER_URL"] == rabbitmq.url("payment")
    assert environment == made()
    assert made(ORDER_DATABASE_URL="postgres://elsewhere/order")["ORDER_DATABASE_URL"] == (
        "postgres://elsewhere/order"
    )
    embedded = build("embedded", var=tmp_path, addresses=addresses, environ={"ORDER_BROKER_URL": "amqp://x"})
    assert not [name for name in embedded if name.endswith(("_DATABASE_URL", "_BROKER_URL"))]
