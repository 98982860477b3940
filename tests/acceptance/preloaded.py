"""`./manage.py SERVICE …` without the second that Django takes to load: each is a fork of a process that has it.

`python -m tests.acceptance.preloaded SERVICE` reads commands as lines of JSON and writes what became of each as a line.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from typing import IO

import django
from django.core.management import get_commands, load_command_class

import manage
from celery_config.common.services import SERVICES
from compose.local.environment import ROOT


class Preloaded:
    """The commands of one service, with the settings of `environment`."""

    def __init__(self, service: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.preloaded", service],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, patience: float) -> subprocess.CompletedProcess[str]:
        """Run a command; after `patience` seconds it is ended by SIGALRM."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([patience, *arguments]) + "\n")
        self._process.stdin.flush()
        code, out, err = json.loads(self._process.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, out, err)

    def close(self) -> None:
        self._process.communicate()


def main(service: str) -> None:
    """Carry out commands until there are no more."""
    os.environ["DJANGO_SETTINGS_MODULE"] = SERVICES[service].settings_module
    django.setup()
    for name, app in get_commands().items():
        if not app.startswith("django."):
            load_command_class(app, name)
    for line in sys.stdin:
        patience, *arguments = json.loads(line)
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            if (child := os.fork()) == 0:
                signal.setitimer(signal.ITIMER_REAL, patience)
                carry_out([service, *arguments], out, err)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            for file in (out, err):
                file.seek(0)
            print(json.dumps([code, out.read(), err.read()]), flush=True)


def carry_out(command: Sequence[str], out: IO[str], err: IO[str]) -> None:
    """Do it in this process, and end the process."""
    os.dup2(out.fileno(), sys.stdout.fileno())
    os.dup2(err.fileno(), sys.stderr.fileno())
    code = 1
    try:
        code = manage.main(["manage.py", *command])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1])
