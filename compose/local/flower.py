"""Flower over the workers of all four services: `./manage.py flower [Flower's own options]`.

Address, port and login come from Flower's own variables (FLOWER_ADDRESS, FLOWER_PORT, FLOWER_BASIC_AUTH).
"""

import os
import sys

from celery import Celery

from celery_config import topology


def main(argv: list[str]) -> int:
    """Run Flower until it is stopped.

    Returns:
        2 when FLOWER_BROKER_URL or FLOWER_BASIC_AUTH is missing.
    """
    missing = [name for name in ("FLOWER_BROKER_URL", "FLOWER_BASIC_AUTH") if not os.environ.get(name)]
    if missing:
        print(
            f"flower needs {' and '.join(missing)} in the environment: the broker's address for the user "
            f"{topology.FLOWER_USER!r}, and a login as user:password",
            file=sys.stderr,
        )
        return 2
    app = Celery("flower", broker=os.environ["FLOWER_BROKER_URL"])
    app.conf.update(
        event_exchange=topology.TASK_EVENTS,
        control_exchange=topology.control_exchange(topology.FLOWER_USER),
        task_default_exchange=topology.COMMANDS,
        broker_connection_retry_on_startup=True,
    )
    app.start(["flower", *argv])
    return 0
