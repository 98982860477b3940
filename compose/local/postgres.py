"""A private PostgreSQL on the loopback address: each service has a database and two roles, which reach no other."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from celery_config.common.private_folders import outer_mode
from compose.local import ports
from compose.local.errors import ProcessFailed, ServerFailed
from compose.local.packages import Binaries, find_or_install
from compose.local.private_files import write_private
from compose.local.process import Process, popen_user
from compose.local.server import PrivateServer

SUPERUSER = "postgres"
_SERVER_USER = "postgres"
_SERVICE_SCRIPT = Path(__file__).resolve().parents[1] / "postgres" / "service.psql"
_XDIST_WORKERS = 8

# fsync and synchronous_commit keep their default, on: a commit survives a crash.
_CONFIGURATION = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
hba_file = '{hba}'
password_encryption = 'scram-sha-256'
max_connections = 300
shared_buffers = 256MB
random_page_cost = 1.1
jit = off
timezone = 'UTC'
logging_collector = off
log_line_prefix = '%m [%p] %u@%d '
"""
# What a test wrote need not outlive the machine.
_FOR_TESTS = """\
fsync = off
full_page_writes = off
synchronous_commit = off
"""


class PostgresServer(PrivateServer):
    """One server with all its files in one folder.

    Args:
        folder: keeps port, passwords and data. The data move to a private temporary folder when we are root and the
            unprivileged user that runs the server cannot reach `folder`.
        roles: each has a database of the same name, and may connect to no other. A role `<role>_owner` owns it.
        for_tests: each role owns its database itself. It may also create databases, and connect to `test_<role>` (and
            `…_gwN` beside it); nothing waits for the disk.
        log: the file that receives the server's output.
    """

    title = "PostgreSQL"

    def __init__(
        self, folder: Path, roles: Sequence[str], *, for_tests: bool = False, log: Path | None = None
    ) -> None:
        super().__init__(folder, log or folder / "postgres.log", outer_mode())
        self._roles = tuple(roles)
        self._for_tests = for_tests
        self._user = _SERVER_USER if os.geteuid() == 0 else None
        self.port = self._kept.port("port")

    def url(self, database: str, role: str | None = None) -> str:
        """Return the address of `database` for `role`, by default the role of the same name."""
        role = role or database
        return f"postgres://{role}:{self._kept.secret(role)}@{ports.LOOPBACK}:{self.port}/{database}"

    def owner_url(self, database: str) -> str:
        """Return the address of `database` for the role that owns its tables."""
        return self.url(database, f"{database}_owner")

    def superuser_url(self, database: str = "postgres") -> str:
        """Return the address of `database` for the superuser; only for tests and maintenance."""
        return self.url(database, SUPERUSER)

    def start(self, timeout: float = 30.0) -> None:
        """Start the server on its data, if there are any; make the roles and databases that are missing.

        Raises:
            ServerFailed: there is no user to run it as, or the data are not ours.
            ProcessFailed: initdb failed, or the server ended or was not ready within `timeout` seconds.
            PackagesMissing: PostgreSQL is not installed.
        """
        binaries = find_or_install()
        data = self._data_folder() / "data"
        made_by = data / "PG_VERSION"
        if not made_by.exists():
            self._initialize(binaries, data)
        elif made_by.read_text().strip() != binaries.postgres.parent.name:
            raise ServerFailed(
                f"{data} was made by PostgreSQL {made_by.read_text().strip()}, and here is"
                f" {binaries.postgres.parent.name}: install that version, or name another folder in ORDER_SAGA_VAR"
            )
        self._configure(data)
        self._process = Process(
            name="postgres",
            argv=[str(binaries.postgres / "postgres"), "-D", str(data)],
            env=_plain_environment(),
            cwd=data,
            log=self._log,
            deaths=self.deaths,
            # "Fast shutdown": it does not wait until clients have left.
            stop_signal=signal.SIGINT,
            user=self._user,
            ready=lambda _: self._answers(),
        )
        self._process.start()
        self._process.wait_until_ready(timeout)
        self._make_roles_and_databases(binaries)

    def kill(self, timeout: float = 10.0) -> None:
        """Stop at once, without a checkpoint, as in a crash; the next start recovers.

        SIGQUIT is PostgreSQL's "immediate shutdown". It also ends the children, which lead process groups of their own;
        the next server refuses to start while one of them still runs.

        Raises:
            ServerFailed: it still runs after `timeout` seconds.
        """
        if self._process is None or not self._process.is_running:
            return
        self._process.send(signal.SIGQUIT)
        if self._process.wait(timeout) is None:
            raise ServerFailed(f"PostgreSQL (process {self._process.pid}) did not end within {timeout:.0f} s")

    def _delete_data(self) -> None:
        data_folder = self._data_folder()
        shutil.rmtree(data_folder / "data", ignore_errors=True)
        if data_folder != self.folder:
            data_folder.rmdir()
            (self.folder / "location").unlink()

    def _data_folder(self) -> Path:
        """Return a folder that the server's user can reach: ours, or a temporary one whose path ours keeps."""
        if self._user is None or self._is_reachable(self.folder):
            return self.folder
        note = self.folder / "location"
        if note.exists() and Path(note.read_text()).is_dir():
            return Path(note.read_text())
        elsewhere = tempfile.mkdtemp(prefix="order-saga-postgres-")
        shutil.chown(elsewhere, self._user, self._user)
        write_private(note, elsewhere)
        return Path(elsewhere)

    def _is_reachable(self, folder: Path) -> bool:
        done = subprocess.run(["test", "-x", str(folder)], cwd="/", check=False, **popen_user(self._user))
        return done.returncode == 0

    def _initialize(self, binaries: Binaries, data: Path) -> None:
        if self._user is not None:
            _must_exist(self._user)
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700)
        with self._private_file(data.parent / "superuser", self._kept.secret(SUPERUSER)) as password_file:
            if self._user is not None:
                shutil.chown(data, self._user, self._user)
            initdb = Process(
                name="initdb",
                argv=[
                    str(binaries.postgres / "initdb"),
                    f"--pgdata={data}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                ],
                env=_plain_environment(),
                cwd=data,
                log=self._log,
                user=self._user,
            )
            try:
                initdb.start(is_task=True)
                initdb.wait_until_done()
            except ProcessFailed:
                shutil.rmtree(data, ignore_errors=True)
                raise

    @contextmanager
    def _private_file(self, path: Path, text: str) -> Iterator[Path]:
        write_private(path, text)
        if self._user is not None:
            shutil.chown(path, self._user, self._user)
        try:
            yield path
        finally:
            path.unlink()

    def _configure(self, data: Path) -> None:
        hba = data / "pg_hba.conf"
        hba.write_text("".join(f"{line}\n" for line in self._access_rules()))
        configuration = _CONFIGURATION.format(port=self.port, hba=hba)
        (data / "postgresql.auto.conf").write_text(configuration + (_FOR_TESTS if self._for_tests else ""))

    def _access_rules(self) -> Iterator[str]:
        yield f"host all {SUPERUSER} {ports.LOOPBACK}/32 scram-sha-256"
        for role in self._roles:
            databases = ",".join(f'"{name}"' for name in self._databases_of(role))
            yield f'host {databases} "{role}","{role}_owner" {ports.LOOPBACK}/32 scram-sha-256'

    def _databases_of(self, role: str) -> Iterator[str]:
        yield role
        if self._for_tests:
            # Test databases are created over a connection to the database "postgres".
            yield "postgres"
            yield f"test_{role}"
            yield from (f"test_{role}_gw{number}" for number in range(_XDIST_WORKERS))

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.superuser_url(), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error):
                raise ServerFailed(
                    f"the data in {self._data_folder()} have other passwords than {self.folder / 'kept.json'}: restore"
                    " that file, or name another folder in ORDER_SAGA_VAR"
                ) from error
            return False
        return True

    def _make_roles_and_databases(self, binaries: Binaries) -> None:
        with psycopg.connect(self.superuser_url(), autocommit=True) as connection:
            connection.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
            for role in self._roles:
                if self._for_tests:
                    self._make_test_role(connection, role)
                else:
                    self._make_service(binaries, role)

    def _make_test_role(self, connection: psycopg.Connection, role: str) -> None:
        name, password = sql.Identifier(role), sql.Literal(self._kept.secret(role))
        if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {}").format(name))
            connection.execute(sql.SQL("CREATE DATABASE {name} OWNER {name}").format(name=name))
        connection.execute(sql.SQL("ALTER ROLE {} LOGIN CREATEDB PASSWORD {}").format(name, password))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE postgres TO {}").format(name))

    def _make_service(self, binaries: Binaries, role: str) -> None:
        """Make the roles and the database of a service with the script that the containers use.

        Raises:
            ServerFailed: it failed; says what it printed.
        """
        done = subprocess.run(
            [
                *(str(binaries.postgres / "psql"), "--no-psqlrc", "--quiet", f"--set=service={role}"),
                f"--file={_SERVICE_SCRIPT}",
            ],
            env={
                **_plain_environment(),
                **{"PGHOST": ports.LOOPBACK, "PGPORT": str(self.port), "PGDATABASE": "postgres"},
                **{"PGUSER": SUPERUSER, "PGPASSWORD": self._kept.secret(SUPERUSER)},
                "SERVICE_PASSWORD": self._kept.secret(role),
                "OWNER_PASSWORD": self._kept.secret(f"{role}_owner"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServerFailed(f"the roles of {role} cannot be made:\n{done.stderr}")


def _must_exist(user: str) -> None:
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise ServerFailed(
            f"PostgreSQL does not run as root, and there is no user {user!r} to run it as: create that user, "
            "or start this as an ordinary user"
        ) from None


def _plain_environment() -> dict[str, str]:
    # PGHOST, PGDATA and the like in our environment name another server.
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "TZ": "UTC"}
