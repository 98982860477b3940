"""Every exchange, queue, policy, dead-letter route and broker permission: one table (rule 27).

The broker's administrator loads `definitions()`; workers declare nothing and have no right to
(embedded mode excepted, whose file-based broker has no administrator).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kombu import Exchange, Queue
from kombu import binding as kombu_binding

from celery_config.common.services import ORCHESTRATOR, SERVICES

VHOST = "order-saga"
FLOWER_USER = "flower"

COMMANDS = "commands"
EVENTS = "events"
UNROUTED = "unrouted"
DEAD_LETTERS = "dead-letters"
TASK_EVENTS = "celeryev"
EXCHANGES = {
    COMMANDS: ("direct", {}),
    EVENTS: ("topic", {"alternate-exchange": UNROUTED}),
    UNROUTED: ("fanout", {}),
    DEAD_LETTERS: ("fanout", {}),
    TASK_EVENTS: ("topic", {}),
}

# A prefetched message counts as delivered whenever its connection is cut, so the limit must bear a
# few bad minutes of an innocent one (rule 19).
DELIVERY_LIMIT = 20
UNROUTED_KEPT = 10_000
# Queues without a limit of their own get one from RabbitMQ 4: 20, and then the message is dropped. This one is never
# reached; only RabbitMQ 4 knows -1 for no limit. A policy, unlike an argument, also reaches queues that exist.
POLICIES = {"kept": (rf"^({DEAD_LETTERS}|{UNROUTED})$", {"delivery-limit": 2**31 - 1})}

# service -> the events it wants (topic patterns), as its subscriptions.py says; without an entry it has no event queue
SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {
    "order": ("payment.*", "inventory.*", "shipment.*", "step.*"),
    "payment": (
        "order.customer_changed",
        "order.customer_deleted",
        "order.order_placed",
        "shipment.shipment_arranged",
        "payment.payment_failed",
        "inventory.inventory_refused",
        "shipment.shipment_failed",
        "order.order_withdrawn",
    ),
    "inventory": ("payment.payment_received", "payment.payment_collected", "payment.payment_released"),
    "shipment": (
        "inventory.inventory_fetched",
        "inventory.inventory_issued",
        "payment.payment_released",
        "order.customer_changed",
        "order.customer_deleted",
    ),
}


@dataclass(frozen=True)
class QueueSpec:
    name: str
    bindings: tuple[tuple[str, str], ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)


def commands_queue(service: str) -> str:
    return f"{service}.commands"


def events_queue(service: str) -> str:
    return f"{service}.events"


def consumed_by(service: str) -> list[str]:
    """The queues a worker of `service` reads."""
    return [commands_queue(service)] + ([events_queue(service)] if service in SUBSCRIPTIONS else [])


def work_queues() -> set[str]:
    """The queues that workers read."""
    return {queue for service in SERVICES for queue in consumed_by(service)}


def commands_to(service: str) -> dict[str, Any]:
    """The publishing options of a command for `service`; an unroutable one is an error (rule 21)."""
    return {"exchange": COMMANDS, "routing_key": service, "mandatory": True}


def shown(**ids: object) -> dict[str, str]:
    """The publishing options that make these ids, and nothing else, what Flower shows and finds of a message.

    Arguments hold addresses and payment tokens, which are nobody's to see there.
    """
    return {
        "argsrepr": "()",
        "kwargsrepr": repr({name: str(value)[:64] for name, value in ids.items() if value}),
    }


def control_exchange(service: str) -> str:
    return f"{service}.control"


def queues() -> list[QueueSpec]:
    """Every queue of the system."""
    work = {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD_LETTERS,
    }
    kept = {"x-queue-type": "quorum"}
    table = [QueueSpec(commands_queue(s), ((COMMANDS, s),), work) for s in SERVICES]
    table += [
        QueueSpec(events_queue(s), tuple((EVENTS, pattern) for pattern in patterns), work)
        for s, patterns in SUBSCRIPTIONS.items()
    ]
    table.append(QueueSpec(DEAD_LETTERS, ((DEAD_LETTERS, ""),), kept))
    table.append(
        QueueSpec(
            UNROUTED, ((UNROUTED, ""),), {**kept, "x-max-length": UNROUTED_KEPT, "x-overflow": "drop-head"}
        )
    )
    return table


def kombu_queues(*, declare: bool) -> list[Queue]:
    """The table as kombu objects. `declare=False`: nobody declares, the administrator did."""
    made = {
        name: Exchange(name, type=kind, durable=True, arguments=arguments or None, no_declare=not declare)
        for name, (kind, arguments) in EXCHANGES.items()
    }
    return [kombu_queue(spec, made, declare=declare) for spec in queues()]


def kombu_queue(spec: QueueSpec, exchanges: Mapping[str, Exchange], *, declare: bool) -> Queue:
    (first_exchange, first_key), *_ = spec.bindings
    queue = Queue(
        spec.name,
        bindings=[kombu_binding(exchanges[exchange], routing_key=key) for exchange, key in spec.bindings],
        durable=True,
        queue_arguments=dict(spec.arguments),
        no_declare=not declare,
    )
    # kombu leaves this empty when there are bindings, and Celery would then put its default exchange here.
    queue.exchange, queue.routing_key = exchanges[first_exchange], first_key
    return queue


def permissions(user: str) -> dict[str, str]:
    """What `user` may configure, write and read in the vhost, as RabbitMQ's regular expressions."""
    if user == FLOWER_USER:
        own = rf"{TASK_EVENTS}\.[0-9a-f-]+"
        return {"configure": f"^({own})$", "write": f"^({own})$", "read": f"^({TASK_EVENTS}|{own})$"}
    # Celery's remote control names every exchange and queue of one service after its control exchange.
    control = rf"(.+\.)?{re.escape(control_exchange(user))}\.pidbox"
    write, read = [COMMANDS, EVENTS, TASK_EVENTS], [re.escape(queue) for queue in consumed_by(user)]
    if user == ORCHESTRATOR:
        # The watchdog counts the consumers of every commands queue. Since RabbitMQ 4.3 even looking at one
        # needs a right on it, and to write to it (to bind it) is the least of them.
        write += [re.escape(commands_queue(service)) for service in SERVICES]
        read += [DEAD_LETTERS, UNROUTED]
    return {
        "configure": f"^({control})$",
        "write": f"^({'|'.join(write)}|{control})$",
        "read": f"^({'|'.join(read)}|{control})$",
    }


def password_hash(password: str, salt: bytes | None = None) -> str:
    """RabbitMQ's `rabbit_password_hashing_sha256`: base64(salt + sha256(salt + password))."""
    salt = os.urandom(4) if salt is None else salt
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def definitions(passwords: Mapping[str, str]) -> dict[str, Any]:
    """The broker's definitions file.

    Args:
        passwords: of each user: every service, `flower`, and any administrator (a name that is neither).
    """
    users = [*SERVICES, FLOWER_USER]
    administrators = [user for user in passwords if user not in users]
    return {
        "vhosts": [{"name": VHOST}],
        "users": [
            {
                "name": user,
                "password_hash": password_hash(password),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                # Flower reads the lengths of queues from the management API.
                "tags": "administrator"
                if user in administrators
                else "management"
                if user == FLOWER_USER
                else "",
            }
            for user, password in passwords.items()
        ],
        "permissions": [{"user": u, "vhost": VHOST, **permissions(u)} for u in users if u in passwords]
        + [
            {"user": u, "vhost": VHOST, "configure": ".*", "write": ".*", "read": ".*"}
            for u in administrators
        ],
        "policies": [
            {
                "name": name,
                "vhost": VHOST,
                "pattern": pattern,
                "apply-to": "queues",
                "priority": 0,
                "definition": definition,
            }
            for name, (pattern, definition) in POLICIES.items()
        ],
        "exchanges": [
            {
                "name": name,
                "vhost": VHOST,
                "type": kind,
                "durable": True,
                "auto_delete": False,
                "internal": False,
                "arguments": arguments,
            }
            for name, (kind, arguments) in EXCHANGES.items()
        ],
        "queues": [
            {
                "name": q.name,
                "vhost": VHOST,
                "durable": True,
                "auto_delete": False,
                "arguments": dict(q.arguments),
            }
            for q in queues()
        ],
        "bindings": [
            {
                "source": exchange,
                "vhost": VHOST,
                "destination": q.name,
                "destination_type": "queue",
                "routing_key": key,
                "arguments": {},
            }
            for q in queues()
            for exchange, key in q.bindings
        ],
    }


def main(argv: list[str]) -> int:
    """Print the definitions; each user's password comes from `RABBITMQ_<USER>_PASSWORD`."""
    names = [*SERVICES, FLOWER_USER, "admin"]
    missing = [n for n in names if f"RABBITMQ_{n.upper()}_PASSWORD" not in os.environ]
    if missing or argv:
        wanted = ", ".join(f"RABBITMQ_{n.upper()}_PASSWORD" for n in missing or names)
        print(f"topology takes no arguments; set these in the environment: {wanted}", file=sys.stderr)
        return 2
    passwords = {n: os.environ[f"RABBITMQ_{n.upper()}_PASSWORD"] for n in names}
    print(json.dumps(definitions(passwords), indent=2))
    return 0
