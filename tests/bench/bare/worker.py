"""One bare service's worker: `python -m tests.bench.bare.worker SERVICE`."""

from __future__ import annotations

import importlib
import os
import sys

from celery_config.common.services import SERVICES


def main(argv: list[str]) -> int:
    (service,) = argv
    os.environ["DJANGO_SETTINGS_MODULE"] = SERVICES[service].settings_module
    importlib.import_module("django").setup()
    app = importlib.import_module("tests.bench.bare.app").app
    importlib.import_module(f"tests.bench.bare.{service}")
    importlib.import_module("tests.bench.three.bare")
    importlib.import_module("celery_config.common.metrics").serve()
    app.worker_main(
        [
            "worker",
            "--pool=threads",
            f"--concurrency={os.environ.get('WORKER_CONCURRENCY', '8')}",
            f"--hostname=bare-{service}@%h",
            f"--queues=bare.{service}",
            "--without-gossip",
            "--without-mingle",
            "--loglevel=WARNING",
        ]
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
