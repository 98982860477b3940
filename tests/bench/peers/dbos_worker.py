"""A worker process of DBOS: `python -m tests.bench.peers.dbos_worker NAME`."""

from __future__ import annotations

import signal
import sys

from dbos import DBOS

from tests.bench.peers.dbos_app import CONCURRENCY, POLLING_SECONDS, QUEUE, make_configuration


def main(argv: list[str]) -> int:
    (name,) = argv
    DBOS(config=make_configuration(name))
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=CONCURRENCY, polling_interval_sec=POLLING_SECONDS)
    print(f"{name} carries out orders", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
