"""The broker's permissions on a real RabbitMQ: what each user needs works, all else is refused (rule 27, topology)."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from amqp.exceptions import AccessRefused
from kombu import Connection
from tenacity import retry, stop_after_delay, wait_fixed

from celery_config.broker.publisher import Publisher
from celery_config.broker.topology import (
    COMMANDS,
    DEAD_LETTERS,
    EVENTS,
    FLOWER_USER,
    TASK_EVENTS,
    TASKS,
    UNROUTED,
    URGENT_TASKS,
    Topology,
    control_exchange,
    route_task,
)
from celery_config.common.services import SERVICES, SUBSCRIPTIONS
from celery_config.saga.engine.chains import STEP_FAILED, Link, join_links
from compose.local import ports
from compose.local.process import Process
from compose.local.rabbitmq import RabbitServer
from compose.local.readiness import answers, says
from compose.local.supervisor import Supervisor
from tests.acceptance.stand_in_worker import make_app

ROOT = Path(__file__).resolve().parents[2]
TOPOLOGY = Topology.load(SUBSCRIPTIONS)
ADMINISTRATOR = "admin"
USERS = (*SERVICES, FLOWER_USER)
LOGIN = ("admin", "look-only")
SHARED = {TASKS, URGENT_TASKS, COMMANDS, EVENTS, TASK_EVENTS}
QUEUES = [queue.name for queue in TOPOLOGY.queues()]
READABLE: dict[str, set[str]] = {
    **{service: set(TOPOLOGY.worker_queues(service)) for service in SERVICES},
    "order": {*TOPOLOGY.worker_queues("order"), DEAD_LETTERS, UNROUTED},
    FLOWER_USER: set(),
}
soon = retry(stop=stop_after_delay(20), wait=wait_fixed(0.1), reraise=True)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    server = RabbitServer(tmp_path_factory.mktemp("rabbitmq"), (*USERS, ADMINISTRATOR), TOPOLOGY.definitions)
    server.start()
    yield server
    server.kill()


def refuses(broker: RabbitServer, user: str, method: str, *args: Any, **kwargs: Any) -> bool:
    """Whether the broker refuses `user` this method of a channel."""
    with Connection(broker.url(user), transport_options={"confirm_publish": True}) as connection:
        channel: Any = connection.channel()
        try:
            if method == "basic_publish":
                message = channel.prepare_message(
                    "{}", content_type="application/json", content_encoding="utf-8"
                )
                channel.basic_publish(message, *args, **kwargs)
            else:
                getattr(channel, method)(*args, **kwargs)
        except AccessRefused:
            return True
        return False


@pytest.mark.parametrize("user", USERS)
class TestEachUserIsHeldToItsOwn:
    def test_reads_its_own_queues_alone(self, broker: RabbitServer, user: str) -> None:
        assert {q for q in QUEUES if not refuses(broker, user, "basic_get", q)} == READABLE[user]

    def test_takes_no_queue_or_exchange_away_and_makes_none(self, broker: RabbitServer, user: str) -> None:
        for queue in QUEUES:
            assert refuses(broker, user, "queue_delete", queue)
        for exchange in (*SHARED, DEAD_LETTERS, UNROUTED):
            assert refuses(broker, user, "exchange_delete", exchange)
        assert refuses(broker, user, "queue_declare", "mine", auto_delete=True)
        assert refuses(broker, user, "exchange_declare", "mine", "direct", auto_delete=True)

    def test_binds_no_queue_to_messages_of_others(self, broker: RabbitServer, user: str) -> None:
        for exchange in SHARED - {TASK_EVENTS} if user == FLOWER_USER else SHARED:
            for queue in [*QUEUES, f"{TASK_EVENTS}.{uuid4()}", f"x.{control_exchange(user)}.pidbox"]:
                assert refuses(broker, user, "queue_bind", queue, exchange, "#"), (queue, exchange)

    def test_publishes_to_what_is_everybodys_alone(self, broker: RabbitServer, user: str) -> None:
        # An unknown routing key: nothing arrives anywhere.
        allowed = {
            exchange
            for exchange in ("", *SHARED, DEAD_LETTERS, UNROUTED)
            if not refuses(broker, user, "basic_publish", exchange, f"{user}.nothing")
        }
        assert allowed == (set() if user == FLOWER_USER else SHARED)

    def test_speaks_for_itself_alone(self, broker: RabbitServer, user: str) -> None:
        """Any service passes on links to any other, and no other announces its events or gives it events again."""
        for service in SERVICES:
            is_own = service == user
            for exchange, key in (
                (EVENTS, f"{service}.nothing_happened"),
                (TASKS, f"{service}.events.receive"),
                (URGENT_TASKS, f"{service}.events.receive_all"),
            ):
                assert refuses(broker, user, "basic_publish", exchange, key) is not is_own, (exchange, key)
            for exchange in (TASKS, URGENT_TASKS):
                passes = not refuses(broker, user, "basic_publish", exchange, f"{service}.do_nothing")
                assert passes is (user != FLOWER_USER)

    def test_controls_its_own_workers_alone(self, broker: RabbitServer, user: str) -> None:
        for service in SERVICES:
            mailbox = f"{control_exchange(service)}.pidbox"
            is_own = service == user
            declaration = (mailbox, "fanout")
            assert (
                refuses(broker, user, "exchange_declare", *declaration, durable=False, auto_delete=False)
                is not is_own
            )
            assert refuses(broker, user, "queue_declare", f"w@host.{mailbox}", exclusive=True) is not is_own
            assert refuses(broker, user, "basic_publish", mailbox, "") is not is_own


@pytest.fixture(scope="module")
def processes(broker: RabbitServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """A stand-in worker of each service."""
    folder = tmp_path_factory.mktemp("workers")
    supervisor = Supervisor(folder / "log")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    arguments = ("-m", "tests.acceptance.stand_in_worker")
    try:
        supervisor.start(
            [
                Process(
                    name=f"{service}-worker",
                    argv=[sys.executable, *arguments, service, broker.url(service), str(folder)],
                    env=environment,
                    cwd=ROOT,
                    ready=says(" ready."),
                )
                for service in SERVICES
            ],
            60,
        )
        yield supervisor
    finally:
        supervisor.stop()


@pytest.fixture(scope="module")
def flower(broker: RabbitServer, processes: Supervisor) -> Iterator[httpx.Client]:
    """Flower, started before any task runs, and a client that is logged in."""
    port = ports.free_port()
    address = f"http://{ports.LOOPBACK}:{port}"
    settings = {
        "FLOWER_BROKER_URL": broker.url(FLOWER_USER),
        "FLOWER_PASSWORD": LOGIN[1],
        "FLOWER_ADDRESS": ports.LOOPBACK,
        "FLOWER_PORT": str(port),
    }
    processes.start(
        [
            Process(
                name="flower",
                argv=[sys.executable, "manage.py", "flower"],
                env={**os.environ, **settings},
                cwd=ROOT,
                ready=answers(f"{address}/healthcheck"),
            )
        ],
        30,
    )
    with httpx.Client(base_url=address, auth=LOGIN) as client:
        yield client


class Relay:
    """Publishes chains the way the order's relay does, and looks at queues the way its watchdog does."""

    def __init__(self, broker: RabbitServer, folder: Path) -> None:
        self.app = make_app("order", broker.url("order"), folder)

    def send(self, saga: UUID, *tasks: str, **kwargs: Any) -> None:
        """Send one chain of `tasks`, each with the errback it has in a saga."""
        publisher = Publisher(self.app, timeout=5)
        assert publisher.publish([join_links([self.link(task, saga, kwargs) for task in tasks], {})]) == {0}
        publisher.close()

    @staticmethod
    def link(task: str, saga: UUID, kwargs: dict[str, Any]) -> Link:
        who = {"saga": str(saga), "step": task}
        errback: Link = {
            "task": STEP_FAILED,
            "args": [],
            "kwargs": who,
            "options": {"task_id": str(uuid4()), **route_task("order", STEP_FAILED, urgent=True)},
            "immutable": True,
        }
        route = route_task(task.split(".")[0], task, urgent=task.startswith("shipment"))
        options = {"task_id": str(uuid4()), **route, "link_error": [errback]}
        return {"task": task, "args": [], "kwargs": {**who, **kwargs}, "options": options}


@pytest.fixture(scope="module")
def relay(broker: RabbitServer, tmp_path_factory: pytest.TempPathFactory) -> Relay:
    return Relay(broker, tmp_path_factory.mktemp("relay"))


def found(flower: httpx.Client, search: str) -> set[tuple[str, str]]:
    """Name and state of the tasks Flower's task page finds."""
    page = {"draw": "1", "start": "0", "length": "100", "order[0][column]": "0", "columns[0][data]": "name"}
    response = flower.get("/tasks/datatable", params={**page, "search[value]": search})
    answer = response.raise_for_status().json()
    assert "searchError" not in answer
    return {(task["name"], task["state"]) for task in answer["data"]}


class TestWhatIsNeededWorks:
    def test_chains_cross_all_services_and_flower_finds_them_by_saga_id(
        self, relay: Relay, flower: httpx.Client
    ) -> None:
        saga, other = uuid4(), uuid4()
        tasks = [f"{service}.agree" for service in ("payment", "inventory", "shipment", "order")]
        # Longer than what Celery's events keep of arguments: what comes first must suffice.
        relay.send(saga, *tasks, command={"lines": [{"sku": f"SKU-{n}", "quantity": n} for n in range(500)]})
        relay.send(other, *tasks)

        # Each worker sends its events to Flower by a timer of its own, so one saga says nothing about another.
        @soon
        def all_done() -> None:
            for search in (str(saga), f"kwargs:{saga}", f"kwargs:saga={other}"):
                assert found(flower, search) == {(task, "SUCCESS") for task in tasks}

        all_done()
        assert found(flower, str(uuid4())) == set()

    def test_an_errback_reaches_the_order(self, relay: Relay, flower: httpx.Client) -> None:
        saga = uuid4()
        relay.send(saga, "payment.agree", "inventory.refuse", "shipment.agree")

        @soon
        def stopped() -> None:
            assert found(flower, str(saga)) == {
                ("payment.agree", "SUCCESS"),
                ("inventory.refuse", "FAILURE"),
                (STEP_FAILED, "SUCCESS"),
            }

        stopped()

    def test_what_nobody_can_run_reaches_the_dead_letters(self, relay: Relay, processes: Supervisor) -> None:
        relay.send(uuid4(), "payment.unheard_of")
        with relay.app.connection_for_read() as connection:
            channel: Any = connection.default_channel

            @soon
            def letter() -> Any:
                message = channel.basic_get(DEAD_LETTERS, no_ack=True)
                # What the tests above published under keys of their own is here as well.
                assert message is not None
                assert message.headers.get("task") == "payment.unheard_of"

            letter()

    def test_the_watchdog_counts_the_workers_of_all(self, relay: Relay, processes: Supervisor) -> None:
        with relay.app.connection_for_read() as connection:
            channel: Any = connection.default_channel
            for queue in (queue for service in SERVICES for queue in TOPOLOGY.worker_queues(service)):
                assert channel.queue_declare(queue, passive=True).consumer_count == 1

    @pytest.mark.parametrize("service", SERVICES)
    def test_remote_control_of_ones_own(
        self, service: str, broker: RabbitServer, processes: Supervisor, tmp_path: Path
    ) -> None:
        app = make_app(service, broker.url(service), tmp_path)
        answer = app.control.inspect(timeout=5, limit=1).ping() or {}
        assert [name.split("@")[0] for name in answer] == [service]

    def test_nothing_was_refused(self, processes: Supervisor, flower: httpx.Client) -> None:
        """Last: no worker, nor Flower, tried what it has no right to."""
        for name in (*(f"{service}-worker" for service in SERVICES), "flower"):
            output = processes[name].output()
            assert "ACCESS_REFUSED" not in output
            assert "CRITICAL" not in output.upper()


class TestFlower:
    def test_shows_the_workers_of_all_services(self, flower: httpx.Client) -> None:
        @soon
        def all_online() -> None:
            workers = flower.get("/api/workers", params={"status": 1}).json()
            assert {name.split("@")[0] for name, alive in workers.items() if alive} == set(SERVICES)

        all_online()

    def test_asks_for_the_login(self, flower: httpx.Client) -> None:
        for page in ("/", "/workers", "/tasks", "/broker", "/api/workers", "/worker/order@host"):
            assert flower.get(page, auth=None).status_code == 401
            assert flower.get(page, auth=("admin", "wrong")).status_code == 401
            # A right login forgets the wrong one, or the address would soon be locked.
            assert flower.get("/workers").headers["X-Frame-Options"] == "DENY"

    def test_locks_an_address_that_guesses_it_and_no_other(self, flower: httpx.Client) -> None:
        elsewhere = httpx.HTTPTransport(local_address="127.0.0.9")
        with httpx.Client(base_url=flower.base_url, auth=flower.auth, transport=elsewhere) as guesser:
            statuses = [guesser.get("/workers", auth=("admin", f"{n}")).status_code for n in range(6)]
            assert statuses == [401] * 5 + [429]
            assert guesser.get("/workers").status_code == 429
        assert flower.get("/workers").status_code == 200

    def test_a_workers_name_leads_to_its_tasks(self, flower: httpx.Client) -> None:
        answer = flower.get("/worker/payment@host")
        assert (answer.status_code, answer.headers["location"]) == (302, "/tasks?worker=payment%40host")

    def test_changes_nothing(self, flower: httpx.Client) -> None:
        for action in ("worker/shutdown/payment@host", "task/revoke/some-id", "task/send-task/payment.agree"):
            assert flower.post(f"/api/{action}", json={"args": []}).status_code == 403

    def test_says_what_is_missing(self) -> None:
        process = Process(name="flower", argv=[sys.executable, "manage.py", "flower"], env={}, cwd=ROOT)
        process.start(is_task=True)
        assert process.wait(20) == 2
