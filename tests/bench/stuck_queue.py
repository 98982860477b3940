"""How long a row of one queue waits while 200,000 rows of another do: `python -m tests.bench.stuck_queue`."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from uuid import uuid4

from celery_config.broker import topology
from celery_config.broker.topology import Topology
from celery_config.common.services import SERVICES, SUBSCRIPTIONS
from compose.local.postgres import PostgresServer
from compose.local.rabbitmq import RabbitServer

WAITING = """
INSERT INTO messaging_outboxmessage (kind, name, route, payload)
SELECT 'task', 'payment.do', 'commands/payment', jsonb_build_object(
    'task', 'payment.do', 'args', '[]'::jsonb, 'kwargs', jsonb_build_object('n', number),
    'options', '{"exchange": "commands", "routing_key": "payment", "mandatory": true}'::jsonb)
FROM generate_series(1, %s) AS number
"""
RELAYS, SECONDS = 2, 25.0


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        rabbit = RabbitServer(
            folder / "rabbitmq", (*SERVICES, "admin"), Topology.load(SUBSCRIPTIONS).definitions
        )
        postgres = PostgresServer(folder / "postgres", [*SERVICES], log=folder / "postgres.log")
        postgres.wipe()
        try:
            postgres.start()
            rabbit.start()
            os.environ |= {
                "DJANGO_SETTINGS_MODULE": SERVICES["inventory"].settings_module,
                "INVENTORY_DATABASE_URL": postgres.url("inventory"),
                "INVENTORY_OWNER_DATABASE_URL": postgres.owner_url("inventory"),
                "INVENTORY_BROKER_URL": rabbit.url("inventory"),
                "LOG_LEVEL": "CRITICAL",
            }
            measure(rabbit, rows)
        finally:
            rabbit.kill()
            postgres.stop()
            postgres.wipe()


def measure(rabbit: RabbitServer, rows: int) -> None:
    import django

    django.setup()
    from celery import current_app
    from django.core.management import call_command
    from django.db import connection, transaction

    from celery_config.broker.routes import find_route
    from celery_config.db import functions
    from celery_config.messaging.models import OutboxMessage
    from celery_config.messaging.outbox import relay, writing
    from tests.service.broker import leaderless

    call_command("migrate", verbosity=0)
    functions.force_index_plans()
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute(WAITING, [rows])
    stop = threading.Event()
    app = current_app._get_current_object()

    def publish_one() -> float:
        options = topology.route_task("shipment", "shipment.do", urgent=False) | {"task_id": str(uuid4())}
        message = {"task": "shipment.do", "args": [], "kwargs": {}, "options": options}
        began = time.monotonic()
        with transaction.atomic():
            writing.add_tasks([(None, message)])
        while OutboxMessage.objects.filter(route=find_route(message)).exists():
            time.sleep(0.005)
        return time.monotonic() - began

    relays = [
        threading.Thread(target=relay.run, args=(app, [], stop.wait, lambda: stop.wait(0.05) and False))
        for _ in range(RELAYS)
    ]
    with leaderless(rabbit, "payment.commands"):
        for each in relays:
            each.start()
        print(f"the first row of another queue left after {publish_one():.2f} s")
        until, took = time.monotonic() + SECONDS, []
        while time.monotonic() < until:
            took.append(publish_one())
            time.sleep(0.1)
        stop.set()
        for each in relays:
            each.join()
    print(f"{len(took)} more: median {statistics.median(took):.2f} s, slowest {max(took):.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
