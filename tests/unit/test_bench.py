"""The bare chain of the benchmark is kombu's and Celery's own: nothing of ours between the broker and its tasks."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from celery_config.common.services import SERVICES
from compose.local.environment import ROOT

# Prints what the app of a service uses; a process of its own, for Django has one service in a process.
DESCRIBE = """
import json, sys
import django
from celery.utils.imports import symbol_by_name

django.setup()
module, attribute = sys.argv[1:]
app = getattr(__import__(module, fromlist=[attribute]), attribute)
transport = app.connection_for_write().transport
consumer = symbol_by_name(app.conf.worker_consumer)
classes = [type(transport), transport.Connection, *consumer.__mro__]
print(json.dumps([cls.__module__ for cls in classes] + consumer.Blueprint.default_steps))
"""


def describe(service: str, module: str, attribute: str) -> list[str]:
    """The modules of transport, connection and consumer, and the steps of the consumer."""
    done = subprocess.run(
        [sys.executable, "-c", DESCRIBE, module, attribute],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": SERVICES[service].settings_module,
            f"{service.upper()}_BROKER_URL": "amqp://guest:guest@localhost:5672/",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_the_bare_chain_runs_on_kombu_and_celery_alone() -> None:
    found = describe("payment", "tests.bench.bare.app", "app")
    assert found[:2] == ["kombu.transport.pyamqp"] * 2
    assert not [name for name in found if name.startswith("celery_config")]


def test_the_services_run_on_our_transport_and_consumer() -> None:
    transport, connection, *_ = found = describe("payment", "payment_app", "celery_app")
    assert transport.startswith("celery_config")
    assert connection.startswith("celery_config")
    assert len([name for name in found if name.startswith("celery_config")]) > 2
