"""TLS means TLS: a server without it, with another's certificate, or under another name is refused, by both clients."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from celery import Celery
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.db.utils import ConnectionHandler
from kombu.exceptions import OperationalError as BrokerError

from celery_config.broker import transport
from celery_config.settings.celery import celery_settings
from celery_config.settings.databases import database_settings
from compose.local import ports
from compose.local.postgres import PostgresServer
from compose.local.rabbitmq import RabbitServer

VARIABLE = "SHIPMENT_DATABASE_URL"
ELSEWHERE = "elsewhere.example"


class Authority:
    """A certificate authority, and certificates of its own for hosts."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.file, self.key = folder / f"{name}.crt", folder / f"{name}.key"
        self.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                 "-keyout", self.key, "-out", self.file)  # fmt: skip

    def certify(self, name: str, *names: str) -> tuple[Path, Path]:
        """Return certificate and key for hosts, such as `DNS:localhost`."""
        key, request, crt = (self.folder / f"{name}.{kind}" for kind in ("key", "csr", "crt"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={','.join(names)}\n")
        self.run(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request
        )
        self.run("x509", "-req", "-days", "2", "-in", request, "-CA", self.file, "-CAkey", self.key,
                 "-CAcreateserial", "-extfile", extensions, "-out", crt)  # fmt: skip
        return crt, key

    @staticmethod
    def run(*arguments: Any) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder, "ours")


@pytest.fixture(scope="module")
def other(folder: Path) -> Authority:
    return Authority(folder, "theirs")


@pytest.fixture(scope="module")
def here(authority: Authority) -> tuple[Path, Path]:
    return authority.certify("here", "DNS:localhost", f"IP:{ports.LOOPBACK}")


@pytest.fixture(scope="module")
def misnamed(authority: Authority) -> tuple[Path, Path]:
    return authority.certify("misnamed", f"DNS:{ELSEWHERE}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("postgres"), ["shipment"], for_tests=True)
    server.start()
    yield server
    server.stop()
    server.wipe()


class TestPostgres:
    @pytest.fixture
    def offer(self, server: PostgresServer) -> Iterator[Callable[[tuple[Path, Path]], None]]:
        """Let the server offer TLS with a certificate."""

        def configure(**values: str) -> None:
            with psycopg.connect(server.superuser_url(), autocommit=True) as connection:
                for name, value in values.items():
                    connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
                connection.execute("SELECT pg_reload_conf()")
                [(data,)] = connection.execute("SHOW data_directory")
            self.data = Path(data)

        def offer(certificate: tuple[Path, Path]) -> None:
            configure()
            for file, name in zip(certificate, ("tls.crt", "tls.key"), strict=True):
                target = self.data / name
                shutil.copy(file, target)
                shutil.chown(target, self.data.owner(), self.data.group())
                target.chmod(0o600)
            configure(ssl_cert_file="tls.crt", ssl_key_file="tls.key", ssl="on")

        yield offer
        configure(ssl="off")

    @pytest.fixture
    def connect(
        self, server: PostgresServer, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any
    ) -> Callable[..., Any]:
        """Connect as a service does whose URL has these parameters; return what a query says."""

        def connect(query: str, **parameters: object) -> Any:
            url = server.url("shipment").replace(ports.LOOPBACK, "localhost")
            behind = "&".join(f"{name}={value}" for name, value in parameters.items())
            monkeypatch.setenv(VARIABLE, f"{url}?{behind}")
            handler = ConnectionHandler({"default": database_settings(VARIABLE, Path("unused"))})
            connection = handler["default"]
            try:
                with django_db_blocker.unblock(), connection.cursor() as cursor:
                    cursor.execute(query)
                    return cursor.fetchone()[0]
            finally:
                connection.close()

        return connect

    IS_TLS = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"

    def test_a_right_certificate(self, connect: Any, offer: Any, authority: Authority, here: Any) -> None:
        offer(here)
        assert connect(self.IS_TLS, sslmode="verify-full", sslrootcert=authority.file) is True

    def test_a_wrong_authority(self, connect: Any, offer: Any, other: Authority, here: Any) -> None:
        offer(here)
        with pytest.raises(OperationalError, match="certificate verify failed"):
            connect(self.IS_TLS, sslmode="verify-full", sslrootcert=other.file)

    def test_a_wrong_name(self, connect: Any, offer: Any, authority: Authority, misnamed: Any) -> None:
        offer(misnamed)
        with pytest.raises(OperationalError, match="does not match host name"):
            connect(self.IS_TLS, sslmode="verify-full", sslrootcert=authority.file)

    def test_no_tls(self, connect: Any, authority: Authority) -> None:
        with pytest.raises(OperationalError, match="does not support SSL"):
            connect(self.IS_TLS, sslmode="verify-full", sslrootcert=authority.file)

    def test_other_parameters_count_beside_ours(self, connect: Any) -> None:
        assert connect("SHOW application_name", application_name="of-ours") == "of-ours"
        assert connect("SHOW work_mem", options="-c%20work_mem=5MB") == "5MB"
        assert connect("SHOW lock_timeout", options="-c%20work_mem=5MB") == "3s"
        with pytest.raises(OperationalError, match="read-only"):
            connect("SELECT 1", target_session_attrs="read-only")


class TestRabbitMQ:
    @pytest.fixture
    def offer(self, rabbit: RabbitServer) -> Callable[[tuple[Path, Path]], int]:
        """Let the broker listen with a certificate; return the port."""

        def offer(certificate: tuple[Path, Path]) -> int:
            crt, key = certificate
            for file in (*certificate, crt.parent):
                file.chmod(0o755)
            port = ports.free_port()
            options = f'[{{certfile, "{crt}"}}, {{keyfile, "{key}"}}]'
            listener = f'{{"{ports.LOOPBACK}", {port}}}'
            rabbit.ctl("eval", f"rabbit_networking:start_ssl_listener({listener}, {options}, 1).")
            return port

        return offer

    @pytest.fixture
    def connect(
        self, rabbit: RabbitServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> Iterator[Callable[..., Any]]:
        """Connect as the shipment service does; return its connection."""
        opened: list[Any] = []

        def connect(port: int, authority: Authority | None) -> Any:
            if authority:
                monkeypatch.setenv("BROKER_CA_CERTS", str(authority.file))
            url = rabbit.url("shipment").replace("amqp:", "amqps:").replace(f":{rabbit.port}", f":{port}")
            app = Celery("shipment", set_as_current=False, fixups=[])
            app.config_from_object(celery_settings("shipment", url, tmp_path), namespace="CELERY")
            connection = app.connection_for_write()
            opened.append(connection)
            transport.connect(connection)
            return connection.connection

        yield connect
        for connection in opened:
            connection.release()

    def test_a_right_certificate(self, connect: Any, offer: Any, authority: Authority, here: Any) -> None:
        connection = connect(offer(here), authority)
        assert connection.transport.sock.version().startswith("TLS")
        assert connection.connected

    @pytest.mark.parametrize("known", [True, False])
    def test_a_wrong_authority(
        self, connect: Any, offer: Any, other: Authority, here: Any, known: bool
    ) -> None:
        with pytest.raises(BrokerError, match="certificate verify failed"):
            connect(offer(here), other if known else None)

    def test_a_wrong_name(self, connect: Any, offer: Any, authority: Authority, misnamed: Any) -> None:
        with pytest.raises(BrokerError, match="certificate is not valid for"):
            connect(offer(misnamed), authority)

    def test_no_tls(self, connect: Any, rabbit: RabbitServer, authority: Authority) -> None:
        with pytest.raises(BrokerError):
            connect(rabbit.port, authority)

    @pytest.mark.parametrize(
        ("url", "fault"),
        [
            ("amqps://u:p@host/v?ssl_ca_certs=/x", "BROKER_CA_CERTS"),
            ("amqp://u:p@host/v?heartbeat=5", "behind '\\?'"),
            ("amqps://u:p@one/v;amqp://u:p@two/v", "with TLS and without"),
        ],
    )
    def test_what_would_not_count_is_refused(self, url: str, fault: str, tmp_path: Path) -> None:
        with pytest.raises(ImproperlyConfigured, match=fault):
            celery_settings("shipment", url, tmp_path)
