"""A worker of inventory with one task more, which kills it: `python -m tests.acceptance.killer_worker`."""

from __future__ import annotations

import os
import signal
import sys

from celery import shared_task

import manage

KILL = "inventory.kill_worker"


@shared_task(name=KILL)
def kill_worker() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(manage.main(["manage.py", "inventory", "worker"]))
