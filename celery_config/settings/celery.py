"""Celery settings of a service."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from celery_config.broker import topology
from celery_config.common.private_folders import make_private_folder
from celery_config.common.services import SUBSCRIPTIONS
from celery_config.settings.environment import env

TRANSPORTS = {
    "filesystem": "celery_config.broker.filesystem:Transport",
    "amqp": "celery_config.broker.transport:Transport",
    "amqps": "celery_config.broker.transport:SSLTransport",
}


def read_broker_tls(variable: str, url: str) -> dict[str, Any] | None:
    """The TLS options of a broker's URL, which the name and certificate of its host must satisfy; None without TLS.

    Raises:
        ImproperlyConfigured: the URL has parameters, which nothing here reads, or only some of its hosts use TLS.
    """
    if "?" in url:
        raise ImproperlyConfigured(
            f"{variable} has parameters behind '?', which are not read; set BROKER_CA_CERTS, BROKER_CLIENT_CERT and"
            " BROKER_CLIENT_KEY instead."
        )
    schemes = {part.strip().partition(":")[0] for part in url.split(";")}
    if "amqps" not in schemes:
        return None
    if schemes != {"amqps"}:
        raise ImproperlyConfigured(
            f"{variable} names hosts with TLS and without; use amqps:// for all of them."
        )
    files = {
        "ca_certs": env.str("BROKER_CA_CERTS", ""),
        "certfile": env.str("BROKER_CLIENT_CERT", ""),
        "keyfile": env.str("BROKER_CLIENT_KEY", ""),
    }
    # kombu fills in the name of the host.
    checked = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}
    return checked | {option: file for option, file in files.items() if file}


def celery_settings(service: str, broker_url: str, folder: Path) -> dict[str, Any]:
    """Celery's settings in the CELERY_ namespace; the guarantees need each of them.

    Args:
        folder: of the embedded mode's file-based broker.
    """
    embedded = broker_url.startswith("filesystem")
    # Without a broker's administrator every process has to know the queues of all services.
    subscriptions = SUBSCRIPTIONS if embedded else {service: SUBSCRIPTIONS[service]}
    transport: dict[str, Any] = {"confirm_publish": True}
    if embedded:
        for name in ("queue", "processed", "control"):
            make_private_folder(folder / name)
        transport = {
            "data_folder_in": str(folder / "queue"),
            "data_folder_out": str(folder / "queue"),
            "processed_folder": str(folder / "processed"),
            "control_folder": str(folder / "control"),
            "polling_interval": 0.05,
            "subscriptions": SUBSCRIPTIONS,
        }
    tls = read_broker_tls(f"{service.upper()}_BROKER_URL", broker_url)
    settings = {
        "broker_url": broker_url,
        "broker_use_ssl": tls,
        "broker_transport": TRANSPORTS.get(broker_url.partition(":")[0]),
        "broker_transport_options": transport,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_heartbeat": 0 if embedded else env.int("BROKER_HEARTBEAT", 30),
        # Further modules with tasks, besides each app's own.
        "imports": env.list("TASK_MODULES", default=[]),
        "accept_content": ["json"],
        "task_serializer": "json",
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # An exception after the retries is our decision: the errback is sent, so the message is done.
        "task_acks_on_failure_or_timeout": True,
        "task_queues": topology.Topology.load(subscriptions).kombu_queues(declare=embedded),
        "task_create_missing_queues": False,
        "task_default_queue": topology.commands_queue(service),
        "task_default_exchange": topology.TASKS,
        "task_default_routing_key": service,
        "task_publish_retry_policy": {
            "max_retries": 5,
            "interval_start": 0.1,
            "interval_step": 0.5,
            "interval_max": 2,
        },
        "worker_consumer": "celery_config.worker.consumer:SagaConsumer",
        "worker_prefetch_multiplier": 4,
        "worker_detect_quorum_queues": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_send_task_events": env.bool("TASK_EVENTS", True),
        "worker_enable_remote_control": not embedded,
        "event_exchange": topology.TASK_EVENTS,
        "control_exchange": topology.control_exchange(service),
        "broker_native_delayed_delivery_queue_type": "quorum",
    }
    # Otherwise Celery's Django fixup closes the connection around every task.
    return {f"CELERY_{name.upper()}": value for name, value in settings.items()} | {
        "CELERY_DB_REUSE_MAX": 10**9
    }
