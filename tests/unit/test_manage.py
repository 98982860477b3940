"""The command line: a wrong word, a wrong setting or Ctrl-C gives one sentence, and no traceback."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import socket

import pytest

from celery_config.common.services import SERVICES
from compose.local.claims import FolderClaim
from compose.local.environment import ROOT, var_folder
from compose.local.ports import LOOPBACK
from tests.unit.command_line import BARE, manage


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    """A shell that starts the tests in the background lets them, and all that they start, ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("ordr", "audit"), "no service and no command `ordr`. Did you mean `./manage.py order audit`?"),
        (("staus",), "Did you mean `./manage.py status`?"),
        (("ordr", "status"), "Did you mean `./manage.py status`?"),
        (("ordr", "nonsense"), "Did you mean `./manage.py order help`?"),
        (("paymnt", "migrate", "--plan"), "Did you mean `./manage.py payment migrate --plan`?"),
        (("flower", "nonsense"), "'nonsense' is none"),
        (("topology", "nonsense"), "'nonsense' is one"),
        (("zzz",), "no service and no command `zzz`. `./manage.py help` lists both."),
    ],
)
def test_a_wrong_word(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    done = manage(tmp_path, *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert told in done.stderr


# With an address a command does not look for a stack first.
ADDRESSES = {f"{service.upper()}_URL": f"http://{LOOPBACK}:1" for service in SERVICES}


@pytest.mark.parametrize(
    ("module", "arguments", "told"),
    [
        ("manage", ("order", "nonsense"), "Unknown command: 'nonsense'"),
        ("manage", ("order", "top"), "Did you mean `./manage.py top`?"),
        ("manage", ("payment", "sandbox", "show"), "Did you mean `./manage.py sandbox show`?"),
        ("manage", ("payment", "explain", "1a2b"), "Did you mean `./manage.py order explain 1a2b`?"),
        (
            "manage",
            ("inventory", "reconcile"),
            "Did you mean `./manage.py payment reconcile` or `./manage.py shipment reconcile`?",
        ),
        ("manage", ("order", "worker", "--concurrency", "-1"), "'-1' is no whole number from 1 to 1000"),
        (
            "manage",
            ("shipment", "worker", "--concurrency", "1001"),
            "'1001' is no whole number from 1 to 1000",
        ),
        ("manage", ("bench", "--orders=-1"), "'-1' is no whole number from 1 on"),
        ("manage", ("chaos", "--orders=-1"), "'-1' is no whole number from 1 on"),
        ("manage", ("pages", "--orders=0"), "'0' is no whole number from 1 on"),
        ("manage", ("races", "--orders=-1"), "'-1' is no whole number from 1 on"),
        ("manage", ("crash-matrix", "--only", "nope"), "no case matches 'nope'"),
        ("manage", ("payment", "reconcile", "--days", "1e400"), "'1e400' is no number from 0 to 3650"),
        ("manage", ("shipment", "sync", "--patience", "nan"), "'nan' is no number from 0 to"),
        ("manage", ("order", "import_orders", "-", "--patience", "-1"), "'-1' is no number from 0 to"),
        ("manage", ("order", "audit", "--report", "/"), "'/' is a folder"),
        ("manage", ("order", "recover", "--report", "/no/a.csv"), "there is no folder '/no'"),
        ("manage", ("order", "import_orders", "-", "--report", "/no/a.csv"), "there is no folder '/no'"),
        ("manage", ("order", "import_orders", "/tmp/a\udcff.csv"), r"'/tmp/a\udcff.csv' is no text"),
        ("manage", ("order", "explain", "a\udcff"), r"'a\udcff' is no text"),
        ("manage", ("order", "explain", "a\udcff", "--offline"), r"'a\udcff' is no text"),
        ("manage", ("order", "watch", "a\udcff", "--once"), r"'a\udcff' is no text"),
        ("manage", ("payment", "sync", "--copy", "a\udcff"), r"'a\udcff' is no text"),
        ("manage", ("order", "worker", "--name", "a\udcff"), r"'a\udcff' is no text"),
        (
            "manage",
            ("order", "web", "--bind", "127.0.0.1:99999"),
            "'99999' is no whole number from 0 to 65535",
        ),
        ("manage", ("order", "web", "--bind", "a\udcff:80"), r"'a\udcff:80' is no text"),
        ("manage", ("order", "recover", "--approve", ""), "--approve: say why"),
        (
            "compose.sandbox",
            ("--port", "99999", "--database", "x"),
            "'99999' is no whole number from 0 to 65535",
        ),
        ("compose.local.prepare", (), "the following arguments are required: SERVICE"),
        ("compose.new_env", ("zz",), "unrecognized arguments: zz"),
    ],
)
def test_a_wrong_argument(module: str, arguments: tuple[str, ...], told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, env={**BARE, **ADDRESSES}, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_in_use_is_one_sentence(tmp_path: Path) -> None:
    with closing(socket()) as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        taken = f"{LOOPBACK}:{other.getsockname()[1]}"
        done = manage(tmp_path, "order", "web", "--bind", taken)
    assert done.returncode == 1
    assert f"CommandError: cannot listen at {taken}: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["demo", "races", "bench"])
def test_an_error_is_one_sentence_on_standard_error(tmp_path: Path, command: str) -> None:
    """As when another stack runs in the same folder."""
    mode = "embedded" if command == "demo" else "servers"
    claim = FolderClaim(tmp_path / command / mode)
    try:
        done = manage(tmp_path, command)
    finally:
        claim.release()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("another stack runs in")


@pytest.mark.parametrize(
    ("arguments", "environ", "told"),
    [
        (
            ("order", "check"),
            {"ORDER_DATABASE_URL": "mysql://u:p@db/order"},
            "a database of the kind 'mysql'",
        ),
        (
            ("order", "check"),
            {"ENVIRONMENT": "production"},
            "ENVIRONMENT=production needs ORDER_DATABASE_URL",
        ),
        (
            ("order", "check"),
            {"ENVIRONMENT": "prod"},
            "ENVIRONMENT is 'prod'; it is one of local, production.",
        ),
        (
            ("order", "check"),
            {"ORDER_HOSTS": "127.0.0.1,shop.example.org"},
            "ORDER_HOSTS with a host that is not this machine needs ORDER_SECRET_KEY, ORDER_TO_ORDER_TOKEN,"
            " PAYMENT_TO_ORDER_TOKEN,"
            " INVENTORY_TO_ORDER_TOKEN, SHIPMENT_TO_ORDER_TOKEN, OPERATOR_TO_ORDER_TOKEN, ORDER_TO_PAYMENT_TOKEN",
        ),
        (("payment", "check"), {"PAYMENT_GATEWAY": "strype"}, "PAYMENT_GATEWAY is 'strype'; set it to"),
        (
            ("shipment", "check"),
            {"CARRIER": "no.such.Carrier"},
            "CARRIER is 'no.such.Carrier', which cannot be",
        ),
        (
            ("order", "migrate"),
            {"ORDER_DATABASE_URL": "postgres://u:p@127.0.0.1:1/o"},
            "The database failed:",
        ),
        (("status",), {}, "Nothing is running in"),
        (("up", "--stop", "order"), {}, "No `up` is running in"),
        (("demo",), {"ORDER_SAGA_VAR": "/dev/null/var"}, "/dev/null/var/demo/embedded cannot be made"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], environ: dict[str, str], told: str
) -> None:
    done = manage(tmp_path, *arguments, **environ)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_an_empty_name_of_the_folder_is_none(tmp_path: Path) -> None:
    """As a shell gives it where a variable is not set: the files do not go into the folder where it stands."""
    assert var_folder({"ORDER_SAGA_VAR": ""}) == var_folder({}) == ROOT / "var"
    shown = manage(tmp_path, "order", "diffsettings", ORDER_SAGA_VAR="").stdout
    assert f"VAR = {ROOT / 'var'!r}" in shown


def test_without_the_packages_it_says_how_they_come(tmp_path: Path) -> None:
    """As after a clone: there is no .venv, and Python has none of them."""
    (tmp_path / "celery_config").symlink_to(ROOT / "celery_config")
    shutil.copy(ROOT / "manage.py", tmp_path)
    code = (
        "import runpy, sys; sys.path.insert(0, '.'); sys.argv = ['manage.py', 'up'];"
        " runpy.run_path('manage.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=tmp_path, env=BARE, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("The packages of Order Saga are not installed: run `make demo` once.")


INTERRUPT = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"


@pytest.mark.parametrize(
    ("moment", "printed"),
    [(INTERRUPT, ""), (f"import atexit; atexit.register(lambda: exec({INTERRUPT!r}))", "usage: ./manage.py")],
    ids=["import", "end"],
)
def test_ctrl_c_before_a_command_begins_and_after_it_has_ended(
    tmp_path: Path, moment: str, printed: str
) -> None:
    """While the packages are imported, and while the interpreter ends."""
    (tmp_path / "difflib.py").write_text(moment)
    done = manage(tmp_path, "help", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr, done.stdout[:18]) == (-signal.SIGINT, "", printed)


def test_ctrl_c_while_the_python_of_the_environment_starts(tmp_path: Path) -> None:
    (tmp_path / "celery_config").symlink_to(ROOT / "celery_config")
    shutil.copy(ROOT / "manage.py", tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f"#!{sys.executable}\n{INTERRUPT}\nimport sys\nos.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
    )
    python.chmod(0o755)
    # Without `site` Python has no environment of its own.
    done = subprocess.run(
        [sys.executable, "-S", "manage.py", "help"], cwd=tmp_path, env=BARE, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\nStopped by Ctrl-C.\n")


@pytest.mark.parametrize(
    ("arguments", "redirection", "code", "told"),
    [
        (("help",), ">/dev/full", 1, "The output cannot be written: [Errno 28]"),
        (("status",), "2>&-", 1, ""),
        (("help",), "<&- >&-", 0, ""),
    ],
)
def test_streams_that_are_closed_or_full(
    tmp_path: Path, arguments: tuple[str, ...], redirection: str, code: int, told: str
) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" manage.py {" ".join(arguments)} {redirection}', sys.executable], cwd=ROOT,
        env={**BARE, "ORDER_SAGA_VAR": str(tmp_path)}, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == code
    assert done.stderr.startswith(told)
    assert len(done.stderr.splitlines()) == bool(told)


def test_a_letter_that_the_terminal_lacks(tmp_path: Path) -> None:
    done = manage(tmp_path / "\u017c", "status", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (1, "")
    assert "\\u017c: start it with" in done.stderr


def test_ctrl_c(tmp_path: Path) -> None:
    """While a command waits for a database that does not answer."""
    with closing(socket()) as database:
        database.bind((LOOPBACK, 0))
        database.listen()
        database.settimeout(60)
        url = f"postgres://u:p@{LOOPBACK}:{database.getsockname()[1]}/order"
        process = subprocess.Popen(
            [sys.executable, "manage.py", "order", "migrate"], cwd=ROOT, stderr=subprocess.PIPE, text=True,
            env={**BARE, "ORDER_DATABASE_URL": url},
        )  # fmt: skip
        with closing(database.accept()[0]):
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (130, "\nStopped by Ctrl-C.\n")
