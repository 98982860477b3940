"""The one table of exchanges, queues, routes and permissions (rule 27, topology)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from celery_config.broker import topology
from celery_config.broker.topology import Topology
from celery_config.common.services import SERVICES, SUBSCRIPTIONS
from celery_config.contracts.payment import PaymentReceived
from celery_config.contracts.subscriptions import merge_patterns, subscribe
from celery_config.errors import DefinitionError

ROOT = Path(__file__).resolve().parents[4]

TOPOLOGY = Topology.load(SUBSCRIPTIONS)
HEARING = [service for service, patterns in TOPOLOGY.patterns.items() if patterns]
"""The services that subscribe to events."""
USERS = dict.fromkeys((*SERVICES, topology.FLOWER_USER, "admin"), "secret")


def test_every_work_queue_is_quorum_limited_and_dead_lettered() -> None:
    """Rule 19 (dead letters): the delivery limit is 20, and what reaches it is kept."""
    work = [q for q in TOPOLOGY.queues() if q.name.endswith((".commands", ".urgent", ".events"))]
    commands = {f"{service}.{kind}" for service in SERVICES for kind in ("commands", "urgent")}
    assert {q.name for q in work} == commands | {f"{service}.events" for service in HEARING}
    for queue in work:
        assert queue.arguments == {
            "x-queue-type": "quorum", "x-delivery-limit": 20, "x-dead-letter-exchange": "dead-letters"
        }  # fmt: skip


def test_dead_letters_are_never_dead_lettered_again() -> None:
    """Rule 19 (dead letters)."""
    (dead,) = [q for q in TOPOLOGY.queues() if q.name == topology.DEAD_LETTERS]
    assert "x-dead-letter-exchange" not in dead.arguments
    assert "x-delivery-limit" not in dead.arguments


def test_what_has_no_way_on_is_never_dropped_for_its_deliveries() -> None:
    """RabbitMQ 4 would: queues without a limit get one of 20. Before it, a policy may not say -1 (no limit)."""
    ends = {q.name for q in TOPOLOGY.queues() if "x-dead-letter-exchange" not in q.arguments}
    assert ends == {topology.DEAD_LETTERS, topology.UNROUTED}
    (policy,) = [p for p in TOPOLOGY.definitions(USERS)["policies"] if p["name"] == "kept"]
    assert {q.name for q in TOPOLOGY.queues() if re.search(policy["pattern"], q.name)} == ends
    assert (policy["vhost"], policy["apply-to"]) == (topology.VHOST, "queues")
    assert policy["definition"]["delivery-limit"] > 10**9


def test_no_service_takes_the_memory_of_the_broker_by_channels() -> None:
    limits = {user["name"]: user["limits"] for user in TOPOLOGY.definitions(USERS)["users"]}
    assert limits.pop("admin") == {}
    assert limits == dict.fromkeys((*SERVICES, topology.FLOWER_USER), topology.LIMITS)


def test_every_work_queue_dead_letters_at_least_once() -> None:
    """By policy, which also reaches queues that exist. RabbitMQ applies one policy to a queue."""
    policies = TOPOLOGY.definitions(USERS)["policies"]
    for queue in TOPOLOGY.queues():
        (policy,) = [p for p in policies if re.search(p["pattern"], queue.name)]
        if "x-dead-letter-exchange" in queue.arguments:
            assert policy["definition"] == {
                "dead-letter-strategy": "at-least-once", "overflow": "reject-publish"
            }  # fmt: skip
            assert not {"x-overflow", "x-max-length", "x-max-length-bytes"} & queue.arguments.keys()


def test_an_event_without_a_subscriber_is_kept_aside() -> None:
    """Rule 21 (events and commands): the events exchange has an alternate exchange to `unrouted`, bounded."""
    assert topology.EXCHANGES[topology.EVENTS] == ("topic", {"alternate-exchange": topology.UNROUTED})
    (unrouted,) = [q for q in TOPOLOGY.queues() if q.name == topology.UNROUTED]
    assert unrouted.arguments["x-max-length"] > 0
    assert unrouted.bindings == ((topology.UNROUTED, ""),)


def find_bound_queues(exchange: str, key: str) -> list[str]:
    """The queues that a message gets into, by the broker's rules."""

    def matches(pattern: str) -> bool:
        if topology.EXCHANGES[exchange][0] == "direct":
            return key == pattern
        words = pattern.replace(".", r"\.").replace("*", r"[^.]+").replace(r"\.#", r"(\..+)?")
        return re.fullmatch(words, key) is not None

    return [
        q.name
        for q in TOPOLOGY.queues()
        for source, key_ in q.bindings
        if source == exchange and matches(key_)
    ]


@pytest.mark.parametrize("service", SERVICES)
class TestRouting:
    """Rule 28 (routing)."""

    @pytest.mark.parametrize(
        ("task", "key"), [("{}.do_it", "{}.do_it"), ("events.receive", "{}.events.receive")]
    )
    @pytest.mark.parametrize("urgent", [True, False])
    def test_a_task_gets_into_one_queue_of_its_service(
        self, service: str, task: str, key: str, urgent: bool
    ) -> None:
        route = topology.route_task(service, task.format(service), urgent=urgent)
        assert (route["routing_key"], route["mandatory"]) == (key.format(service), True)
        queue = topology.task_queue(service, urgent=urgent)
        assert find_bound_queues(route["exchange"], route["routing_key"]) == [queue]
        assert topology.is_urgent(route) is urgent
        assert topology.find_target(route["exchange"], route["routing_key"]) == service

    def test_an_event_that_is_announced_again_gets_to_one_service_alone(self, service: str) -> None:
        key = topology.again_key("payment.payment_captured", service)
        assert find_bound_queues(topology.EVENTS, key) == [f"{service}.events"] * (service in HEARING)
        assert topology.find_announced_type(key) == "payment.payment_captured"

    def test_what_older_versions_sent_still_arrives(self, service: str) -> None:
        """Rule 24 (versions): chains and outbox rows under way name exchange and key."""
        assert find_bound_queues("commands", service) == [f"{service}.commands"]
        assert not topology.is_urgent({"exchange": "commands", "routing_key": service})


def test_workers_declare_nothing() -> None:
    """Rule 27 (topology): a worker's queues and exchanges are all marked so; embedded mode declares them."""
    for declare in (False, True):
        for queue in TOPOLOGY.kombu_queues(declare=declare):
            assert queue.no_declare is not declare
            assert all(b.exchange.no_declare is not declare for b in queue.bindings)
            # Celery would otherwise put its default exchange here, and declare and bind to that.
            assert (queue.exchange.name, queue.routing_key) == next(
                q.bindings[0] for q in TOPOLOGY.queues() if q.name == queue.name
            )


def test_the_definitions_and_the_workers_have_one_table() -> None:
    """Rule 27 (topology): they never disagree about a queue, its arguments or its bindings."""
    made = TOPOLOGY.definitions(USERS)
    by_kombu = {q.name: q.queue_arguments for q in TOPOLOGY.kombu_queues(declare=False)}
    assert {q["name"]: q["arguments"] for q in made["queues"]} == by_kombu
    bound = {(b["source"], b["destination"], b["routing_key"]) for b in made["bindings"]}
    assert bound == {
        (b.exchange.name, q.name, b.routing_key)
        for q in TOPOLOGY.kombu_queues(declare=False)
        for b in q.bindings
    }
    assert {e["name"] for e in made["exchanges"]} == set(topology.EXCHANGES)
    assert json.loads(json.dumps(made)) == made


class TestBindings:
    """Rule 27 (topology): a queue is bound to what its service subscribes to."""

    def test_a_pattern_covers_the_events_that_it_matches(self) -> None:
        one, all_of_them = (subscribe(to, call="x") for to in (PaymentReceived, "payment.*"))
        assert merge_patterns([one, all_of_them, one]) == ("payment.*",)
        assert merge_patterns([one, one]) == (PaymentReceived.wire_name(),)

    def test_a_service_without_subscriptions_has_no_events_queue(self) -> None:
        alone = Topology({"payment": ()})
        assert alone.worker_queues("payment") == ["payment.commands", "payment.urgent"]
        assert "payment.events" not in {queue.name for queue in alone.queues()}

    def test_they_are_read_without_the_services(self) -> None:
        """To import a service's package makes its Celery app the current one."""
        load = (
            "from celery_config.broker.topology import SUBSCRIPTIONS, Topology; Topology.load(SUBSCRIPTIONS)"
        )
        code = f"import sys; {load}; print(any(n.endswith(('_app', '_project')) for n in sys.modules))"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout == "False\n"

    def test_a_service_that_is_not_there_is_named(self) -> None:
        with pytest.raises(DefinitionError, match="loyalty_app"):
            Topology.load({"loyalty": "loyalty_app.subscriptions.SUBSCRIPTIONS"})


@pytest.mark.parametrize("service", SERVICES)
class TestPermissions:
    """Rule 27 (topology): a service's broker user is held to its own queues."""

    def allowed(self, service: str, kind: str, name: str) -> bool:
        return re.search(TOPOLOGY.permissions(service)[kind], name) is not None

    def test_it_reads_its_own_queues_alone(self, service: str) -> None:
        for queue in TOPOLOGY.queues():
            own = queue.name in TOPOLOGY.worker_queues(service)
            orchestrators = service == "order" and queue.name in (topology.DEAD_LETTERS, topology.UNROUTED)
            assert self.allowed(service, "read", queue.name) == (own or orchestrators), queue.name

    def test_it_writes_through_the_shared_exchanges_alone(self, service: str) -> None:
        for name in ("tasks", "urgent-tasks", topology.COMMANDS, topology.EVENTS, topology.TASK_EVENTS):
            assert self.allowed(service, "write", name)
        watched = [q for s in SERVICES for q in TOPOLOGY.worker_queues(s)] if service == "order" else []
        for name in ("", "amq.default", *(q.name for q in TOPOLOGY.queues())):
            assert self.allowed(service, "write", name) == (name in watched), name

    def test_it_announces_again_what_is_its_own(self, service: str) -> None:
        for source in SERVICES:
            key = topology.again_key(f"{source}.it_happened", "order")
            assert topology.may_write(service, topology.EVENTS, key) == (source == service)
        nobody = topology.again_key(f"{service}.it_happened", "nobody")
        assert not topology.may_write(service, topology.EVENTS, nobody)

    def test_it_declares_nothing_but_its_own_remote_control(self, service: str) -> None:
        for name in [*topology.EXCHANGES, *(q.name for q in TOPOLOGY.queues())]:
            assert not self.allowed(service, "configure", name), name
        for other in SERVICES:
            reply_queue = f"6f1c7a0e.reply.{other}.control.pidbox"
            assert self.allowed(service, "configure", reply_queue) == (other == service)


def test_passwords_are_hashed_as_rabbitmq_wants() -> None:
    """Salt of four bytes, then SHA-256 over salt and password."""
    raw = base64.b64decode(topology.hash_password("secret"))
    assert raw[4:] == hashlib.sha256(raw[:4] + b"secret").digest()
    assert "secret" not in json.dumps(TOPOLOGY.definitions(USERS))


def test_only_the_administrator_is_one() -> None:
    made = TOPOLOGY.definitions(USERS)
    assert [u["name"] for u in made["users"] if u["tags"] == "administrator"] == ["admin"]
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    assert [p["user"] for p in made["permissions"] if everything.items() <= p.items()] == ["admin"]


class TestMain:
    def test_it_prints_the_definitions(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in USERS:
            monkeypatch.setenv(f"RABBITMQ_{name.upper()}_PASSWORD", "secret")
        assert topology.main([]) == 0
        assert json.loads(capsys.readouterr().out)["vhosts"] == [{"name": topology.VHOST}]

    def test_it_says_which_password_is_missing(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in USERS:
            monkeypatch.delenv(f"RABBITMQ_{name.upper()}_PASSWORD", raising=False)
        assert topology.main([]) == 2
        assert "RABBITMQ_PAYMENT_PASSWORD" in capsys.readouterr().err
