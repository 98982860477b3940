"""One bare service's worker: `python -m tests.bench.bare.worker SERVICE`."""

from __future__ import annotations

import importlib
import sys

from django.conf import settings

from celery_config.common import metrics
from tests.bench.service import set_up_django

# The fastest of those that were tried: 2, 8 and 16 threads and two processes (prefork), each with a prefetch of 1, 10
# and 100 messages for a thread; then 32 threads with 100, and a larger pool of connections for publishing.
THREADS, PREFETCH = 16, 100


def main(argv: list[str]) -> int:
    (service,) = argv
    set_up_django(service)
    app = importlib.import_module("tests.bench.bare.app").app
    importlib.import_module(f"tests.bench.bare.{service}")
    importlib.import_module("tests.bench.three.bare")
    metrics.serve(metrics.WORKER, settings.METRICS_PORT)
    app.worker_main(
        [
            "worker",
            "--pool=threads",
            f"--concurrency={THREADS}",
            f"--prefetch-multiplier={PREFETCH}",
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
