"""Broker topology: exchanges, queues, policies, dead-letter routes and permissions in one table (rule 27, topology).

The broker's administrator loads `Topology.definitions`. Workers declare nothing and have no right to; the embedded mode
is the exception, since its file-based broker has no administrator. What a service's events queue is bound to follows
from its `subscriptions.py`.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import re
import runpy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kombu import Exchange, Queue, binding

from celery_config.common.secret_files import SecretUnreadable, read_secret_files
from celery_config.common.services import ORCHESTRATOR, SERVICES, SUBSCRIPTIONS
from celery_config.contracts.subscriptions import EventSubscription, ReactionRule, merge_patterns
from celery_config.errors import DefinitionError

VHOST = "order-saga"
FLOWER_USER = "flower"

TASKS, URGENT_TASKS = "tasks", "urgent-tasks"
# What older versions published tasks to. Chains and outbox rows of the sagas that began under them name it, so it can
# go when the last of these sagas has ended (rule 24, versions).
COMMANDS = "commands"
EVENTS = "events"
STEP_EVENTS = "step"
"""What the type of an event begins with that any participant announces: a try failed, or it gave a step up."""
AGAIN = "again"
UNROUTED = "unrouted"
DEFAULT_EXCHANGE = ""
"""It leads to every queue; no service may send to it, and an administrator moves messages by it."""
DEAD_LETTERS = "dead-letters"
TASK_EVENTS = "celeryev"
EVENT_TASKS = "events."
"""What the names of the tasks that receive events begin with."""
RECEIVE, RECEIVE_ALL = f"{EVENT_TASKS}receive", f"{EVENT_TASKS}receive_all"
MOST_EVENTS = 50
"""In one message. A batch that fails is split, and each of its events may become a dead letter."""
EXCHANGES = {
    TASKS: ("topic", {}),
    URGENT_TASKS: ("topic", {}),
    COMMANDS: ("direct", {}),
    EVENTS: ("topic", {"alternate-exchange": UNROUTED}),
    UNROUTED: ("fanout", {}),
    DEAD_LETTERS: ("fanout", {}),
    TASK_EVENTS: ("topic", {}),
}

# The key of a task that one service sends to any other.
LINK_KEY = rf"({'|'.join(SERVICES)})\.[a-z_]+"
_link_keys = re.compile(LINK_KEY)
PROBE_KEY = "standstill.probe"
"""No queue is bound to it: the orchestrator only wants the broker's confirm."""
TASK_EXCHANGES = (TASKS, URGENT_TASKS, COMMANDS)

# Each lost connection counts as a delivery of every prefetched message, so the limit must leave a harmless message
# alive through some bad minutes (rule 19, dead letters).
DELIVERY_LIMIT = 20
UNROUTED_KEPT = 10_000
# Policies, unlike arguments, also reach queues that exist. Queues without a limit of their own get one from RabbitMQ 4:
# 20, and then the message is dropped. This one is never reached; only RabbitMQ 4 knows -1 for no limit.
KEPT = {"delivery-limit": 2**31 - 1}
# A dead letter stays in its queue until the dead-letter queue has confirmed it. RabbitMQ demands the overflow, which
# has no effect on a queue without a length limit.
AT_LEAST_ONCE = {"dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}
# Of a service's user. Each channel takes memory, and a broker without free memory takes no messages at all.
LIMITS = {"max-connections": 200, "max-channels": 2_000}
IN_VHOST, DURABLE = {"vhost": VHOST}, {"durable": True, "auto_delete": False}


@dataclass(frozen=True)
class QueueSpec:
    name: str
    bindings: tuple[tuple[str, str], ...]
    """Pairs of exchange and routing key."""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Topology:
    """The topology for the subscriptions of some services."""

    patterns: Mapping[str, tuple[str, ...]]
    """The topic patterns of the events that a service wants; a service without any has no events queue."""

    @classmethod
    def load(cls, subscriptions: Mapping[str, str]) -> Topology:
        """Read the services' subscriptions.

        Args:
            subscriptions: the dotted name of each service's list, such as `payment_app.subscriptions.SUBSCRIPTIONS`.
        """
        return cls(
            {service: merge_patterns(read_subscriptions(name)) for service, name in subscriptions.items()}
        )

    def worker_queues(self, service: str) -> list[str]:
        """The queues that a worker of `service` reads."""
        return task_queues(service) + ([events_queue(service)] if self.patterns[service] else [])

    def queues(self) -> list[QueueSpec]:
        """Every queue of the system."""
        quorum = {"x-queue-type": "quorum"}
        work = {**quorum, "x-delivery-limit": DELIVERY_LIMIT, "x-dead-letter-exchange": DEAD_LETTERS}
        bounded = {**quorum, "x-max-length": UNROUTED_KEPT, "x-overflow": "drop-head"}
        return [
            *(
                QueueSpec(commands_queue(service), ((TASKS, f"{service}.#"), (COMMANDS, service)), work)
                for service in SERVICES
            ),
            *(
                QueueSpec(urgent_queue(service), ((URGENT_TASKS, f"{service}.#"),), work)
                for service in SERVICES
            ),
            *(
                QueueSpec(
                    events_queue(service),
                    (*((EVENTS, pattern) for pattern in patterns), (EVENTS, again_key("*.*", service))),
                    work,
                )
                for service, patterns in self.patterns.items()
                if patterns
            ),
            QueueSpec(DEAD_LETTERS, ((DEAD_LETTERS, ""),), quorum),
            QueueSpec(UNROUTED, ((UNROUTED, ""),), bounded),
        ]

    def policies(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """The broker's policies: for each name a pattern of queues, and what holds for them."""
        work = [queue.name for queue in self.queues() if "x-dead-letter-exchange" in queue.arguments]
        return {
            "kept": (f"^({DEAD_LETTERS}|{UNROUTED})$", KEPT),
            "dead-lettered-at-least-once": (f"^({'|'.join(map(re.escape, work))})$", AT_LEAST_ONCE),
        }

    def kombu_queues(self, *, declare: bool) -> list[Queue]:
        """The queues as kombu objects.

        Args:
            declare: whether Celery declares them; if not, the administrator has done it.
        """
        exchanges = {
            name: Exchange(name, type=kind, durable=True, arguments=arguments or None, no_declare=not declare)
            for name, (kind, arguments) in EXCHANGES.items()
        }
        return [make_kombu_queue(spec, exchanges, declare=declare) for spec in self.queues()]

    def permissions(self, user: str) -> dict[str, str]:
        """What `user` may configure, write and read in the vhost, as RabbitMQ's regular expressions."""
        if user == FLOWER_USER:
            own = rf"{TASK_EVENTS}\.[0-9a-f-]+"
            return {"configure": f"^({own})$", "write": f"^({own})$", "read": f"^({TASK_EVENTS}|{own})$"}
        # Celery's remote control names every exchange and queue of one service after its control exchange.
        control = rf"(.+\.)?{re.escape(control_exchange(user))}\.pidbox"
        write = [TASKS, URGENT_TASKS, COMMANDS, EVENTS, TASK_EVENTS]
        read = [re.escape(queue) for queue in self.worker_queues(user)]
        if user == ORCHESTRATOR:
            # The watchdog counts the messages and consumers of every worker's queues. Since RabbitMQ 4.3 even a look at
            # a queue needs a right on it, and the right to write (to bind it) is the smallest.
            write += [re.escape(queue) for service in self.patterns for queue in self.worker_queues(service)]
            read += [DEAD_LETTERS, UNROUTED]
        return {
            "configure": f"^({control})$",
            "write": f"^({'|'.join(write)}|{control})$",
            "read": f"^({'|'.join(read)}|{control})$",
        }

    def definitions(self, passwords: Mapping[str, str]) -> dict[str, Any]:
        """The broker's definitions file.

        Args:
            passwords: of each user: every service, `flower`, and any administrator (another name).
        """
        rights = {user: self.permissions(user) for user in (*SERVICES, FLOWER_USER) if user in passwords}
        # From the management API Flower reads the lengths of queues, and the order service also nodes and members.
        tags = {**dict.fromkeys(rights, ""), FLOWER_USER: "management", ORCHESTRATOR: "monitoring"}
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        rights |= {user: everything for user in passwords if user not in tags}
        return {
            "vhosts": [{"name": VHOST}],
            "users": [
                {
                    "name": user,
                    "password_hash": hash_password(password),
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                    "tags": tags.get(user, "administrator"),
                    "limits": LIMITS if user in tags else {},
                }
                for user, password in passwords.items()
            ],
            "permissions": [{"user": user, **IN_VHOST, **granted} for user, granted in rights.items()],
            # Without an entry of its own a user may publish under any key.
            "topic_permissions": [
                {"user": user, **IN_VHOST, "exchange": exchange, "write": keys, "read": ".*"}
                for user in rights
                for exchange, keys in writable_keys(user).items()
            ],
            "policies": [
                {"name": name, **IN_VHOST, "pattern": pattern}
                | {"apply-to": "queues", "priority": 0, "definition": definition}
                for name, (pattern, definition) in self.policies().items()
            ],
            "exchanges": [
                {"name": name, **IN_VHOST, "type": kind, **DURABLE, "internal": False, "arguments": arguments}
                for name, (kind, arguments) in EXCHANGES.items()
            ],
            "queues": [
                {"name": queue.name, **IN_VHOST, **DURABLE, "arguments": dict(queue.arguments)}
                for queue in self.queues()
            ],
            "bindings": [
                {"source": exchange, **IN_VHOST, "destination": queue.name}
                | {"destination_type": "queue", "routing_key": key, "arguments": {}}
                for queue in self.queues()
                for exchange, key in queue.bindings
            ],
        }


@functools.cache
def writable_keys(user: str) -> dict[str, str]:
    """The routing keys that `user` may publish under, as a regular expression for each topic exchange.

    A service announces its own events alone, and events that wait for another try reach its own queue alone. Any
    service sends commands to any other, because it passes on the links of a chain; a link proves by itself who made it
    (`message_authentication`).
    """
    if user == FLOWER_USER:
        return {}
    probe = rf"|{re.escape(PROBE_KEY)}" if user == ORCHESTRATOR else ""
    tasks = rf"^({user}\..+|{LINK_KEY}{probe})$"
    again = rf"(\.{AGAIN}\.({'|'.join(SERVICES)}))?"
    return {EVENTS: rf"^({user}|{STEP_EVENTS})\.[a-z_]+{again}$", TASKS: tasks, URGENT_TASKS: tasks}


def may_write(user: str, exchange: str, routing_key: str) -> bool:
    """Whether `user` sends anything to this exchange under this key, and whether the broker lets it."""
    if exchange == COMMANDS:
        return routing_key in SERVICES
    return bool(re.fullmatch(writable_keys(user)[exchange], routing_key))


def is_link_key(exchange: str, routing_key: str) -> bool:
    """Whether every service may send a task to this exchange under this key."""
    return routing_key in SERVICES if exchange == COMMANDS else bool(_link_keys.fullmatch(routing_key))


def read_subscriptions(name: str) -> Sequence[EventSubscription | ReactionRule]:
    """Read a service's list from its file.

    The package is not imported: its Celery app would become the current one of this process.

    Raises:
        DefinitionError: there is no such package, file or list.
    """
    package, module, attribute = name.split(".")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DefinitionError(f"there is no package {package}, whose {module} the topology needs")
    file = Path(spec.submodule_search_locations[0], f"{module}.py")
    if not file.is_file():
        raise DefinitionError(
            f"there is no {package}/{module}.py; write {attribute} = [] there, or what it hears"
        )
    subscriptions = runpy.run_path(str(file)).get(attribute)
    if not isinstance(subscriptions, list | tuple):
        raise DefinitionError(
            f"{package}/{module}.py has no list {attribute}; write {attribute} = [subscribe(…), …]"
        )
    others = [each for each in subscriptions if not isinstance(each, EventSubscription | ReactionRule)]
    if others:
        raise DefinitionError(f"{package}/{module}.py: {others[0]!r} is neither subscribe(…) nor react(…)")
    return subscriptions


def make_kombu_queue(spec: QueueSpec, exchanges: Mapping[str, Exchange], *, declare: bool) -> Queue:
    (first_exchange, first_key), *_ = spec.bindings
    queue = Queue(
        spec.name,
        bindings=[binding(exchanges[exchange], routing_key=key) for exchange, key in spec.bindings],
        durable=True,
        queue_arguments=dict(spec.arguments),
        no_declare=not declare,
    )
    # kombu leaves this empty when there are bindings, and Celery would then put its default exchange here.
    queue.exchange, queue.routing_key = exchanges[first_exchange], first_key
    return queue


def commands_queue(service: str) -> str:
    """The queue of new work: actions that can still be undone, and what is no step."""
    return f"{service}.commands"


def urgent_queue(service: str) -> str:
    """The queue of what must not wait behind new work: the pivot and all behind it, fences, undos, ends of sagas."""
    return f"{service}.urgent"


def task_queues(service: str) -> list[str]:
    return [commands_queue(service), urgent_queue(service)]


def task_queue(service: str, *, urgent: bool) -> str:
    """The queue that `route_task` leads to."""
    return urgent_queue(service) if urgent else commands_queue(service)


def events_queue(service: str) -> str:
    return f"{service}.events"


def control_exchange(service: str) -> str:
    return f"{service}.control"


def again_key(kind: str, service: str) -> str:
    """The key of an event of this type that is announced again, to one service that refused it."""
    return f"{kind}.{AGAIN}.{service}"


def find_announced_type(routing_key: str) -> str:
    """The type of the events that are announced under this key."""
    return routing_key.partition(f".{AGAIN}.")[0]


def is_worker_queue(queue: str) -> bool:
    """Whether workers read this queue."""
    return any(queue in (*task_queues(service), events_queue(service)) for service in SERVICES)


def route_task(service: str, task: str, *, urgent: bool) -> dict[str, Any]:
    """The publishing options of a task for `service` (rule 28, routing); one that no queue takes is an error.

    The key is the service and the task, whose name begins with the service if it is the service's own. What is urgent
    has an exchange of its own, since a topic's pattern cannot exclude, and the same task may be either.
    """
    key = task if task.startswith(f"{service}.") else f"{service}.{task}"
    return {"exchange": URGENT_TASKS if urgent else TASKS, "routing_key": key, "mandatory": True}


def find_route_fault(exchange: str, routing_key: str, task: str, receiver: str = "") -> str | None:
    """Say why no service of ours sends this task by this route, or None.

    The broker knows who may use a key, so the key must tell the truth about the task. RabbitMQ also delivers under the
    keys in the headers `CC` and `BCC`, for which it checks no right, so the key must lead to who received it. And a
    service may bind exchanges of its own (of its remote control) to ours, so a message must have been sent to ours.

    Args:
        receiver: the service that received it; empty if unknown.
    """
    service = routing_key.partition(".")[0]
    fits = True
    if exchange in TASK_EXCHANGES:
        fits = receiver in ("", service)
    elif exchange not in (EVENTS, DEFAULT_EXCHANGE):
        fits = not receiver
    if not fits:
        return f"forged: it came to {receiver} under the key {routing_key!r} of {exchange!r}"
    if exchange in (TASKS, URGENT_TASKS):
        fits = service in SERVICES and routing_key in (task, f"{service}.{task}")
    elif exchange == COMMANDS:
        # Anyone may send there; what a service sends itself, such as the events that wait for another try, may not be.
        fits = service == task.partition(".")[0]
    elif exchange == EVENTS:
        _, _, wanted = routing_key.partition(f".{AGAIN}.")
        fits = task.startswith(EVENT_TASKS) and (not wanted or receiver in ("", wanted))
    return None if fits else f"forged: {task!r} does not belong under the key {routing_key!r} of {exchange!r}"


def find_target(exchange: str, routing_key: str) -> str:
    """What stands for the queues that a key leads to: the service of a task, else the key."""
    return routing_key.partition(".")[0] if exchange in (TASKS, URGENT_TASKS) else routing_key


def is_urgent(delivery_info: Mapping[str, Any] | None) -> bool:
    """Whether a message came as an urgent one."""
    return delivery_info is not None and delivery_info.get("exchange") == URGENT_TASKS


def flower_options(**ids: object) -> dict[str, str]:
    """The publishing options that let Flower show and find a message by these ids and nothing else.

    The arguments hold addresses and payment tokens, which must not appear there.
    """
    shown = {name: str(value)[:64] for name, value in ids.items() if value}
    return {"argsrepr": "()", "kwargsrepr": repr(shown)}


def hash_password(password: str) -> str:
    """RabbitMQ's `rabbit_password_hashing_sha256`: base64(salt + sha256(salt + password))."""
    salt = os.urandom(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def main(argv: list[str]) -> int:
    """Print the definitions; each user's password comes from `RABBITMQ_<USER>_PASSWORD`."""
    variables = {user: f"RABBITMQ_{user.upper()}_PASSWORD" for user in (*SERVICES, FLOWER_USER, "admin")}
    if argv:
        print(f"topology takes no arguments, and {' '.join(argv)!r} is one.", file=sys.stderr)
        return 2
    try:
        read_secret_files(os.environ)
    except SecretUnreadable as error:
        print(error, file=sys.stderr)
        return 2
    if missing := [name for name in variables.values() if name not in os.environ]:
        print(f"topology needs these in the environment: {', '.join(missing)}", file=sys.stderr)
        return 2
    passwords = {user: os.environ[name] for user, name in variables.items()}
    print(json.dumps(Topology.load(SUBSCRIPTIONS).definitions(passwords), indent=2))
    return 0
