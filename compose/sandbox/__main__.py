"""The command line of the sandbox."""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import sys
import threading

import structlog

from celery_config.common.arguments import parse_count, parse_path, parse_port, parse_seconds, parse_text
from celery_config.common.logging import configure_logging
from celery_config.common.secret_files import SecretUnreadable, read_secret_files
from compose.sandbox.application import Sandbox
from compose.sandbox.http import Settings, Shop
from compose.sandbox.server import Server
from compose.sandbox.store import Store
from compose.sandbox.webhooks import Target

log = structlog.get_logger()


def main() -> int:
    """Serve until SIGTERM or SIGINT; the first line on standard output says where.

    Returns:
        1 when a file or the address cannot be used.
    """
    try:
        read_secret_files(os.environ)
    except SecretUnreadable as error:
        return _refuse(str(error))
    options = _options()
    configure_logging("sandbox", os.environ.get("LOG_FORMAT", "auto"), os.environ.get("LOG_LEVEL", "INFO"))
    try:
        store = Store(options.database)
    except (OSError, sqlite3.Error) as error:
        return _refuse(f"the database {options.database} cannot be opened: {error}")
    sandbox = Sandbox(
        Shop(store, Settings(options.slow_seconds, options.timeout_seconds, options.max_weight_grams)),
        options.targets,
    )
    try:
        server = Server(options.host, options.port, sandbox)
    except OSError as error:
        return _refuse(f"it cannot listen on {options.host}:{options.port}: {error}")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"sandbox: {server.url}", flush=True)
        log.info("listening", url=server.url, database=str(options.database))
        stop.wait()
        server.shutdown()
    sandbox.faults.clear()
    sandbox.webhooks.close()
    store.close()
    log.info("stopped")
    return 0


def _refuse(sentence: str) -> int:
    print(f"sandbox: {sentence}", file=sys.stderr)
    return 1


def _options() -> argparse.Namespace:
    defaults = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m compose.sandbox", description="Payment provider and carrier."
    )
    parser.add_argument(
        "--host", type=parse_text, default="127.0.0.1", help="address to listen on (default %(default)s)"
    )
    parser.add_argument(
        "--port", type=parse_port, default=8090, help="0 takes a free one (default %(default)s)"
    )
    parser.add_argument("--database", type=parse_path, required=True, help="SQLite file; made when missing")
    parser.add_argument(
        "--slow-seconds",
        type=parse_seconds,
        default=defaults.slow_seconds,
        help="tok_slow (default %(default)s)",
    )
    parser.add_argument(
        "--timeout-seconds",
        type=parse_seconds,
        default=defaults.timeout_seconds,
        help="tok_timeout_then_succeeds; longer than the callers' limit (default %(default)s)",
    )
    parser.add_argument(
        "--max-weight-grams",
        type=parse_count,
        default=defaults.max_weight_grams,
        help="heavier shipments are refused (default %(default)s)",
    )
    parser.add_argument(
        "--payment-webhook",
        type=parse_text,
        metavar="URL",
        help="send payments' events there, signed with PAYMENT_WEBHOOK_SECRET",
    )
    parser.add_argument(
        "--carrier-webhook",
        type=parse_text,
        metavar="URL",
        help="send shipments' events there, signed with SHIPMENT_WEBHOOK_SECRET",
    )
    options = parser.parse_args()
    wanted = {
        "provider": (options.payment_webhook, os.environ.get("PAYMENT_WEBHOOK_SECRET")),
        "carrier": (options.carrier_webhook, os.environ.get("SHIPMENT_WEBHOOK_SECRET")),
    }
    for side, (url, secret) in wanted.items():
        if url and not secret:
            parser.error(f"the {side}'s webhooks need a secret; set it in the environment")
    options.targets = {side: Target(url, secret) for side, (url, secret) in wanted.items() if url and secret}
    return options


if __name__ == "__main__":
    sys.exit(main())
