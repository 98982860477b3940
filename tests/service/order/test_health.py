"""The pages for probes and operators: what this process can, and what moves; and what Prometheus is told."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from django.conf import settings as django_settings
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.module_loading import import_string
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from rest_framework.test import APIClient

from celery_config import health
from celery_config.broker.topology import Topology
from celery_config.common import metrics
from celery_config.contracts.base import encode
from celery_config.db import writes
from celery_config.db.functions import Now
from celery_config.messaging import database_gate, epochs, trouble
from celery_config.messaging.duties import show_life
from celery_config.messaging.models import Observation, OutboxMessage, Trouble
from celery_config.messaging.observations import note
from celery_config.notifications import heartbeat
from celery_config.saga import measures
from celery_config.saga.engine import clock, hindrances
from celery_config.saga.models import FlowSum, SagaClock, SagaPause
from celery_config.saga.operations.services import QUEUES_SEEN
from celery_config.saga.sums.reading import read_last_minute
from compose.local.rabbitmq import RabbitServer
from order_project import audit
from order_project.domain import Flow
from order_project.models import Order
from tests.service.broker import dead_hosts, frozen, make_app
from tests.service.order.conftest import ADDRESS, HEART, Placed, Shop
from tests.service.together import in_background, postgresql, stopped, until

pytestmark = pytest.mark.django_db
HOURS = timedelta(hours=2)
DEAD_HOST = "amqp://order:secret@127.0.0.1:1/order-saga"


def raise_away(*_: Any) -> Any:
    raise OperationalError("the connection is lost")


@pytest.fixture
def database_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "find_refusal", raise_away)
    for module, name in ((measures, "measure_flows"), (measures, "check_saga_time")):
        monkeypatch.setattr(module, name, raise_away)


def make_read_only() -> None:
    """Until the test's transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SET transaction_read_only = on")


@pytest.fixture(autouse=True)
def _nothing_was_refused() -> Iterator[None]:
    yield
    writes.refused_lately.clear()


@pytest.fixture
def read_only(shop: Shop) -> None:
    make_read_only()


@pytest.fixture
def app(rabbit: RabbitServer, tmp_path: Path) -> Iterator[Celery]:
    with make_app("order", rabbit, tmp_path) as app:
        yield app


def look() -> tuple[int, dict[str, Any]]:
    answer = Client().get("/flowz")
    return answer.status_code, answer.json()


def scrape() -> dict[tuple[str, str], float]:
    """What the web tells Prometheus: name and label's value of each sample."""
    text = Client().get("/metrics").content.decode()
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class TestReady:
    """A probe that routes requests: the outbox is there to survive all else."""

    def test_without_a_broker_a_process_can_accept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(health, "check_broker", raise_away)
        answer = Client().get("/readyz")
        told = {"ready": True, "database": "ok", "holds": "ok", "notifier": heartbeat.check_notifier()}
        assert (answer.status_code, answer.json()) == (200, told)

    @pytest.mark.usefixtures("database_away")
    def test_without_its_database_it_cannot(self) -> None:
        answer = Client().get("/readyz")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)

    @postgresql
    def test_with_a_database_that_takes_no_writes_it_cannot(self, read_only: None) -> None:
        answer = Client().get("/readyz")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)
        assert answer.json()["database"].startswith("takes no writes: it is read-only")

    def test_after_a_refused_write_the_probe_tries_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A full disk answers every question."""
        takes = False
        monkeypatch.setattr(database_gate, "database_takes_writes", lambda: takes)
        assert Client().get("/readyz").status_code == 200
        writes.refused_lately.set()
        answer = Client().get("/readyz")
        assert (answer.status_code, answer.json()["database"].partition(":")[0]) == (503, "takes no writes")
        takes = True
        assert Client().get("/readyz").status_code == 200
        assert not writes.refused_lately.is_set()


@postgresql
class TestTakesNoWrites:
    """A standby, or a database that is set to be read-only, answers every question."""

    def test_a_client_is_told_to_come_again(self, shop: Shop, peer: APIClient) -> None:
        line = {"sku": HEART, "quantity": 1}
        order = {"customer": str(shop.customer.pk), "lines": [line], "currency": "EUR",
                 "payment_token": "tok_visa", "address": encode(ADDRESS)}  # fmt: skip
        make_read_only()
        answer = peer.post("/api/orders/", order, format="json")
        assert (answer.status_code, answer.json()["code"]) == (503, "database_read_only")
        assert int(answer["Retry-After"]) > 0

    def test_the_cause_comes_first(self, shop: Shop, read_only: None) -> None:
        status, found = look()
        assert (status, [*found][1]) == (503, "database")
        assert found["database"].startswith("takes no writes")
        assert scrape()["order_saga_database_up", ""] == 0

    def test_a_relay_that_cannot_tick_is_not_missing(self, shop: Shop) -> None:
        SagaClock.objects.update(ticked_at=Now() - HOURS)
        make_read_only()
        assert look()[1]["saga_time"].endswith(" s: database takes no writes")


@pytest.mark.django_db(transaction=True)
@postgresql
class TestADatabaseThatHangs:
    """It answers for its connections, and no statement ends."""

    @pytest.mark.parametrize("page", ["/readyz", "/flowz", "/metrics"])
    def test_is_named_soon(self, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
        monkeypatch.setattr(health, "ANSWER_SECONDS", 0.5)
        connection.ensure_connection()
        with stopped(connection):
            began = time.monotonic()
            answer = Client().get(page)
            assert time.monotonic() - began < 3
        if page == "/metrics":
            assert b"order_saga_database_up 0.0" in answer.content
        else:
            assert (answer.status_code, answer.json()["database"]) == (503, "does not answer within 0.5 s")
        assert look()[1]["database"] == "ok"

    def test_a_table_that_is_locked_holds_up_one_check(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(health, "ANSWER_SECONDS", 0.5)
        locked, done = threading.Event(), threading.Event()

        def lock() -> None:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("LOCK TABLE saga_sagapause IN ACCESS EXCLUSIVE MODE")
                locked.set()
                assert done.wait(20)

        holder = in_background(lock)
        assert locked.wait(20)
        found = look()[1]
        done.set()
        holder.result(20)
        assert (found["database"], found["relay"], found["saga_time"]) == (
            "ok",
            "ok: 0.0 s behind",
            "ok: it runs",
        )
        assert found["pauses"].startswith("unknown: the database has not answered for 0.5 s")


class TestManyAskers:
    """The page has one thread of its own, and an answer may take seconds."""

    @pytest.fixture
    def found(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """How often the checks were made; each takes until all who ask have asked."""
        found: list[int] = []
        self.all_asked = threading.Event()

        def find() -> dict[str, str]:
            assert self.all_asked.wait(20)
            found.append(1)
            return {"database": "ok"}

        monkeypatch.setattr(health, "find_flows", find)
        monkeypatch.setattr(health, "FLOWS", health.SharedFlows())
        return found

    def test_who_asked_meanwhile_gets_the_same_answer(
        self, found: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(health, "SHARED_SECONDS", 60.0)
        askers = [in_background(look) for _ in range(5)]
        self.all_asked.set()
        assert [asker.result(20) for asker in askers] == [(200, {"flows": True, "database": "ok"})] * 5
        assert len(found) == 1

    def test_an_answer_is_not_kept_for_longer(
        self, found: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.all_asked.set()
        monkeypatch.setattr(health, "SHARED_SECONDS", 0.0)
        look()
        look()
        assert len(found) == 2


class TestABrokerThatHangs:
    def test_is_named_within_5_s(
        self, shop: Shop, rabbit: RabbitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each of its hosts takes connections and says nothing; each check asks one after the other."""
        with dead_hosts() as hosts, make_app("order", rabbit, tmp_path, hosts_before=hosts) as app:
            for module in (health, measures):
                monkeypatch.setattr(module, "current_app", SimpleNamespace(_get_current_object=lambda: app))
            with frozen(rabbit):
                began = time.monotonic()
                status, found = look()
                assert time.monotonic() - began < 5
        assert (status, found["database"], found["pauses"]) == (503, "ok", "ok")
        assert found["broker"].startswith(("away", "does not answer"))
        assert found["participants"].startswith("unknown")


def test_operators_read_what_each_line_of_flowz_means() -> None:
    page = (Path(__file__).parents[3] / "docs/how-to/operate.md").read_text(encoding="utf-8")
    assert {*django_settings.FLOW_CHECKS} <= {*re.findall(r"^  \| `(\w+)` \|", page, re.MULTILINE)}


class TestFlow:
    def test_messages_that_fail_are_named_with_their_cause(self, shop: Shop) -> None:
        assert (look()[1]["messages"], scrape()["order_saga_trouble_seconds", "database"]) == ("ok", 0)
        for _ in range(trouble.MANY):
            trouble.note(trouble.Cause.DATABASE, "canceling statement due to lock timeout", 30)
        Trouble.objects.update(since=Now() - HOURS)
        status, found = look()
        assert (status, found["flows"]) == (503, False)
        assert found["messages"].endswith(" UTC: canceling statement due to lock timeout")
        assert scrape()["order_saga_trouble_seconds", "database"] == pytest.approx(7200, abs=5)
        assert [*audit.find_warnings()] == [f"messages: {found['messages']}"]

    def test_what_a_participant_says_of_itself_is_named(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = {"payment": "the relay is 20 s behind", "inventory": hindrances.NO_ANSWER}
        monkeypatch.setattr(hindrances, "ask_participants", lambda services: told)
        assert look()[1]["hindrances"] == "payment: the relay is 20 s behind"

    def test_a_message_that_nobody_sends_is_named(self, shop: Shop) -> None:
        shop.order()
        assert look()[1]["relay"].startswith("ok")
        OutboxMessage.objects.update(due_at=Now() - timedelta(minutes=3))
        status, found = look()
        assert (status, found["flows"]) == (503, False)
        assert found["relay"].startswith("late: 18")
        assert "behind: 1 message to tasks/payment (payment.authorize_payment) is not" in found["relay"]

    def test_a_relay_that_is_dead_is_named_though_nothing_is_to_be_sent(self) -> None:
        assert look()[1]["relay"].startswith("ok"), "none has run here yet"
        show_life()
        assert look()[1]["relay"].startswith("ok")
        Observation.objects.filter(pk="relay").update(at=Now() - HOURS)
        status, found = look()
        assert status == 503
        assert re.fullmatch(r"no relay runs: none has been seen for 720\d s", found["relay"])

    def test_a_message_that_cannot_be_sent_is_named_and_not_late(self, shop: Shop) -> None:
        shop.order()
        OutboxMessage.objects.update(due_at=Now() - HOURS, fault="it fits into no frame")
        status, found = look()
        assert (status, found["set_aside"]) == (
            503,
            "1 row cannot be sent; the admin's page Messages to send says why",
        )
        assert found["relay"].startswith("ok")
        assert scrape()["order_saga_outbox_set_aside", ""] == 1

    def test_standing_time_is_named_with_its_cause(self, shop: Shop) -> None:
        assert look()[1]["saga_time"] == "ok: it runs"
        clock.tick("payment")
        SagaClock.objects.update(stands_since=Now() - HOURS)
        status, found = look()
        assert status == 503
        assert re.fullmatch(r"stands for 720\d s: payment", found["saga_time"])

    def test_a_relay_that_does_not_tick_is_a_cause(self, shop: Shop) -> None:
        SagaClock.objects.update(ticked_at=Now() - HOURS)
        assert look()[1]["saga_time"] == "stands for 7200 s: no relay"

    def test_a_database_that_is_not_recovered_is_named(self, shop: Shop) -> None:
        assert "recovery" not in look()[1]
        assert scrape()["order_saga_recovering", ""] == 0
        epochs.begin("restored from a backup")
        status, found = look()
        assert (status, found["recovery"]) == (
            503,
            "the database was restored, and ./manage.py order recover is not done",
        )
        assert scrape()["order_saga_recovering", ""] == 1
        epochs.end_recovery()

    def test_a_pause_is_named(self, shop: Shop) -> None:
        SagaPause.objects.create(saga="place-order", by="ada", why="the carrier is on strike")
        status, found = look()
        assert (status, found["pauses"]) == (503, "no new sagas of place-order")

    def test_what_is_open_past_its_deadline_is_a_warning(self, placed: Placed) -> None:
        assert look()[1]["deadlines"] == "ok"
        placed.set(started_at=Now() - HOURS)
        found = look()[1]
        assert found["deadlines"].startswith("warning: open for longer than its deadline: place order …")
        assert str(placed.saga_id) in found["deadlines"]

    def test_an_order_is_named_with_its_id_once(self, shop: Shop) -> None:
        order = shop.place(flow=Flow.CHOREOGRAPHED).order
        Order.objects.update(created_at=Now() - HOURS)
        assert look()[1]["deadlines"].count(str(order)) == 1

    def test_the_admin_says_that_saga_time_stands(self, admin_client: Client, placed: Placed) -> None:
        home, saga = reverse("admin:index"), reverse("admin:saga_sagainstance_change", args=[placed.saga_id])
        stands = "No order is driven or stopped by its deadline"
        assert stands not in admin_client.get(home).content.decode()
        clock.tick("payment")
        assert re.search(rf"payment; since .*{stands}", admin_client.get(home).content.decode())
        assert "it stands since" in admin_client.get(saga).content.decode()

    @pytest.mark.usefixtures("database_away")
    def test_without_a_database_the_page_still_answers(self) -> None:
        status, found = look()
        assert (status, found["database"]) == (503, "away: OperationalError")
        assert found["saga_time"] == "unknown: no database"


class TestTheBroker:
    """Seen from a service, with its own rights, on a real broker."""

    def test_that_has_one_host_left_of_three_answers(self, app: Celery, rabbit: RabbitServer) -> None:
        app.conf.broker_url = ";".join([DEAD_HOST, DEAD_HOST, rabbit.url("order")])
        assert health.check_broker(app)["broker"] == "ok"

    def test_of_which_no_host_is_left_is_away(self, app: Celery) -> None:
        app.conf.broker_url = ";".join([DEAD_HOST, DEAD_HOST])
        assert health.check_broker(app)["broker"].startswith("away")

    def test_a_queue_without_a_worker_is_named(self, app: Celery) -> None:
        queues = Topology.load({"order": django_settings.SUBSCRIPTIONS}).worker_queues("order")
        assert health.check_broker(app)["workers"] == f"none on {', '.join(queues)}"

    def test_with_workers_nothing_is_missing(self, app: Celery) -> None:
        queues = Topology.load({"order": django_settings.SUBSCRIPTIONS}).worker_queues("order")
        with app.connection_for_read() as connection:
            for queue in queues:
                connection.default_channel.basic_consume(queue, consumer_tag=queue)
            assert health.check_broker(app) == {"broker": "ok", "workers": "ok"}

    def test_that_was_asked_is_left_without_a_warning_in_its_log(
        self, app: Celery, rabbit: RabbitServer
    ) -> None:
        log = rabbit.folder / "rabbitmq.log"
        before = log.stat().st_size

        def leaves() -> list[str]:
            return [
                line
                for line in log.read_bytes()[before:].decode().splitlines()
                if "closing AMQP connection" in line
            ]

        assert health.check_broker(app)["broker"] == "ok"
        until(lambda: any("user: 'order'" in line for line in leaves()), "the broker notes that we leave")
        assert not [line for line in leaves() if "[warning]" in line]

    def test_a_participant_without_a_worker_is_named(
        self, app: Celery, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(measures, "current_app", SimpleNamespace(_get_current_object=lambda: app))
        with app.connection_for_read() as connection:
            queue = Topology.load({"order": django_settings.SUBSCRIPTIONS}).worker_queues("order")[0]
            connection.default_channel.basic_consume(queue, consumer_tag=queue)
            assert measures.check_participants().startswith("without a worker: ")
            assert "payment" in measures.check_participants()


class TestMetrics:
    def test_the_outbox_s_age_needs_no_relay(self, shop: Shop) -> None:
        shop.order()
        OutboxMessage.objects.update(due_at=Now() - HOURS)
        assert 7200 <= scrape()["order_saga_outbox_age_seconds", ""] < 7210

    def test_the_age_of_what_is_due_rises_while_saga_time_stands(self, placed: Placed) -> None:
        clock.tick("payment")
        assert scrape()["order_saga_due_age_seconds", ""] == 0
        SagaClock.objects.update(stands_since=Now() - HOURS)
        assert scrape()["order_saga_due_age_seconds", ""] > 600
        assert scrape()["order_saga_sagas", "running"] == 1

    def test_standing_time_is_shown_by_cause(self, shop: Shop) -> None:
        assert scrape()["order_saga_time_standing_seconds", ""] == 0
        clock.tick("payment, inventory")
        SagaClock.objects.update(stands_since=Now() - HOURS)
        found = scrape()
        for cause in ("payment", "inventory"):
            assert 7200 <= found["order_saga_time_standing_seconds", cause] < 7210
        clock.tick()
        assert scrape()["order_saga_time_standing_seconds", ""] == 0

    def test_what_is_open_past_its_deadline_is_counted(self, placed: Placed) -> None:
        assert scrape()["order_saga_open_past_deadline", ""] == 0
        placed.set(started_at=Now() - HOURS)
        assert scrape()["order_saga_open_past_deadline", ""] == 1

    @pytest.mark.usefixtures("database_away")
    def test_without_a_database_nothing_is_claimed(self) -> None:
        found = scrape()
        assert found["order_saga_database_up", ""] == 0
        assert not {name for name, _ in found} & {"order_saga_outbox_age_seconds", "order_saga_sagas"}

    def test_the_web_shows_nothing_of_worker_and_relay(self, db: None) -> None:
        names = {name for name, _ in scrape()}
        assert {"order_saga_database_up", "order_saga_outbox_age_seconds", "order_saga_sagas"} <= names
        foreign = {"order_saga_barrier_unanswered_seconds", "order_saga_outbox_refused_total"}
        assert not names & foreign
        shown = {metric.name for metric in metrics.WORKER.collect() if metric.name.startswith("order_saga")}
        assert not shown & {"order_saga_outbox_age_seconds", "order_saga_barrier_unanswered_seconds"}

    def test_no_metric_of_ours_is_shown_by_nobody(self) -> None:
        assert not [metric.name for metric in REGISTRY.collect() if metric.name.startswith("order_saga")]

    def test_labelled_counters_are_there_from_the_start(self) -> None:
        for path in django_settings.RELAY_DUTIES:  # as the relay does
            import_string(path)()
        metrics.prepare()
        for registry, name, labels in (
            (metrics.RELAY, "order_saga_dead_letters_total", {"reason": "delivery_limit"}),
            (metrics.RELAY, "order_saga_redrives_total", {"status": "stopping"}),
            (metrics.RELAY, "order_saga_outbox_published_total", {"kind": "event"}),
            (metrics.RELAY, "order_saga_copy_resyncs_total", {"copy": "catalogue_product"}),
            (metrics.WORKER, "order_saga_sagas_ended_total", {"saga": "place-order", "outcome": "completed"}),
            (metrics.WORKER, "order_saga_events_handled_total", {"type": "inventory.product_changed"}),
            (
                metrics.WORKER,
                "order_saga_saga_seconds_count",
                {"saga": "refund-order", "outcome": "completed"},
            ),
        ):
            assert registry.get_sample_value(name, labels) is not None, name


class TestTheAudit:
    def test_warns_of_what_stands(self, placed: Placed) -> None:
        assert [*audit.find_warnings()] == []
        clock.tick("payment")
        placed.set(started_at=Now() - HOURS)
        warnings = [*audit.find_warnings()]
        assert warnings[0] == "saga time: stands for 0 s: payment"
        assert warnings[1].startswith("deadlines: open for longer than its deadline: place order …")


class TestWhatTheTerminalReads:
    """`./manage.py top` and the board show the same sums and the same look at the queues."""

    def read(self, client: Client, name: str, label: str) -> dict[str, float]:
        families = text_string_to_metric_families(client.get("/metrics").content.decode())
        return {
            each.labels[label]: each.value
            for family in families
            for each in family.samples
            if each.name == name
        }

    def test_the_last_minute_is_a_whole_one_of_the_sums(self, client: Client) -> None:
        now = timezone.now().replace(second=0, microsecond=0)
        for minutes in (0, 1, 2):
            FlowSum.objects.create(
                seconds=60, at=now - timedelta(minutes=minutes), flow="place-order", kind="began", bucket=-1,
                count=minutes + 1,
            )  # fmt: skip
        # The minute may end between two lines.
        assert self.read(client, "order_saga_began_in_last_minute", "saga")["place-order"] in (1, 2)
        counted = read_last_minute(now)
        assert counted == {"began": {"place-order": 2}, "ended": {}}

    def test_the_queues_are_those_that_the_relay_saw_a_moment_ago(self, client: Client) -> None:
        note(QUEUES_SEEN, {"queues": {"payment.commands": [12, 2], "payment.urgent": [None, 0]}})
        assert self.read(client, "order_saga_queue_messages", "queue") == {"payment.commands": 12}
        workers = {"payment.commands": 2, "payment.urgent": 0}
        assert self.read(client, "order_saga_queue_workers", "queue") == workers
        Observation.objects.update(at=Now() - timedelta(minutes=2))
        assert self.read(client, "order_saga_queue_workers", "queue") == {}


@pytest.mark.parametrize("page", ["/readyz", "/flowz"])
def test_a_probe_that_is_answered_with_503_is_no_error_of_ours(
    client: Client, database_away: None, caplog: pytest.LogCaptureFixture, page: str
) -> None:
    assert client.get(page).status_code == 503
    assert not [record for record in caplog.records if record.name == "django.request"]
