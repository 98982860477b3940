"""The workbench of dead letters: groups, one letter whole, the acts on it, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from kombu.message import Message

from celery_config.broker.message_authentication import Mode
from celery_config.contracts.base import encode
from celery_config.contracts.order import OrderConfirmed
from celery_config.erasure.tombstones import mark_erased
from celery_config.errors import OperatorRefused
from celery_config.http.service_client import ServiceClient, ServiceSilent
from celery_config.messaging.announcing import AskedEvent, announce_again
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.outbox import writing
from celery_config.messaging.states import Action, Undo
from celery_config.saga.course import Held
from celery_config.saga.dead_letters import outcomes, reading, remedies
from celery_config.saga.dead_letters.fingerprints import generalise
from celery_config.saga.dead_letters.letter import Letter
from celery_config.saga.dead_letters.outcomes import note_outcomes
from celery_config.saga.dead_letters.reader import process_letters
from celery_config.saga.dead_letters.reading import read_body, read_groups
from celery_config.saga.dead_letters.remedies import act_on, list_offers
from celery_config.saga.dead_letters.sending import ERASED, StoredLetter
from celery_config.saga.models import DeadLetter, LetterAct, LetterGroup, OperatorAction
from celery_config.saga.operations import barrier_client
from celery_config.saga.testing import list_links
from tests.service.order.conftest import REPLIES, Placed, Shop
from tests.service.order.saga.operations.test_operators import park
from tests.service.peer import Peer

pytestmark = pytest.mark.django_db
WHO: Any = {"by": "ada", "why": "the provider is mended"}
RESERVE = "inventory.reserve_stock"


def make(task: str, kwargs: dict[str, Any], *, queue: str = "", embed: Any = None, **headers: Any) -> Message:
    """A dead letter as the broker brings it."""
    queue = queue or f"{task.partition('.')[0]}.commands"
    reason = headers.pop("reason", "rejected")
    args = [] if task.startswith("events.") else [REPLIES]
    return Message(
        body=json.dumps([args, kwargs, embed or {}]).encode(),
        content_type="application/json",
        content_encoding="utf-8",
        headers={
            "task": task,
            "id": str(uuid4()),
            "x-death": [{"reason": reason, "queue": queue}],
            **headers,
        },
        accept={"application/json"},
    )


def keep(*messages: Message) -> list[DeadLetter]:
    newest = DeadLetter.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    process_letters([Letter.parse(each) for each in messages])
    return list(DeadLetter.objects.filter(pk__gt=newest).order_by("pk"))


def find_link(placed: Placed, task: str) -> dict[str, Any]:
    (found,) = [link for link in list_links(placed.messages[0]) if link["task"] == task]
    return found


def keep_step(placed: Placed, task: str = RESERVE, **more: Any) -> DeadLetter:
    """A step that was delivered again and again, and is sound."""
    (letter,) = keep(make(task, find_link(placed, task)["kwargs"], reason="delivery_limit", **more))
    return letter


def keep_garbage(count: int = 1, **more: Any) -> list[DeadLetter]:
    return keep(*(make("payment.no_such", {"n": n}, **more) for n in range(count)))


def make_event(
    kind: str = "payment.payment_captured", source: str = "/payment", **more: Any
) -> dict[str, Any]:
    data = {"payment": str(uuid4()), "captured_amount": 5}
    return {
        "id": str(uuid4()), "source": source, "type": kind, "subject": "x", "time": "2026-01-01T00:00:00Z",
        "data": data, **more,
    }  # fmt: skip


def find_offer(letter: DeadLetter, act: str) -> str:
    return {each.act: each.refused for each in list_offers(letter)}[act]


class TestGroups:
    def test_one_fault_is_one_group_whatever_the_ids_are(self, shop: Shop) -> None:
        orders = [shop.order() for _ in range(3)]
        broken = [find_link(each, RESERVE)["kwargs"] for each in orders]
        for each in broken:
            del each["command"]["lines"]
        with override_settings(RELEASE="1.4.0"):
            keep(*(make(RESERVE, each) for each in broken))
            keep_garbage(2)
        with override_settings(RELEASE="1.5.0"):
            keep_garbage()
        faults = {(each.task, each.fault, each.count, each.release) for each in read_groups()}
        assert faults == {
            (RESERVE, "Object missing required field `lines`", 3, "1.4.0"),
            ("payment.no_such", "unknown task …", 3, "1.4.0"),
        }

    def test_values_in_a_fault_are_its_own(self) -> None:
        assert (
            generalise("'a' of 0f7c1a52-1111-4222-8333-123456789abc: 12 of `lines`") == "… of …: … of `lines`"
        )

    def test_a_group_goes_with_its_last_open_letter(self, shop: Shop) -> None:
        first, last = keep_garbage(2)
        act_on(first, "dismiss", **WHO)
        assert [each.count for each in read_groups()] == [1]
        act_on(last, "dismiss", **WHO)
        assert read_groups() == []

    def test_the_groups_of_many_letters_are_read_with_two_statements(self, shop: Shop) -> None:
        keep_garbage(30)
        with CaptureQueriesContext(connection) as asked:
            read_groups()
        assert len(asked) == 2

    def test_a_batch_of_letters_writes_its_groups_with_one_statement(self, shop: Shop) -> None:
        keep_garbage()
        with CaptureQueriesContext(connection) as asked:
            keep_garbage(50)
        assert len([each for each in asked if LetterGroup._meta.db_table in each["sql"]]) == 1


class TestReading:
    def test_the_faulty_field_is_marked(self, placed: Placed) -> None:
        kwargs = find_link(placed, RESERVE)["kwargs"]
        kwargs["command"]["lines"][0]["quantity"] = "seven"
        (letter,) = keep(make(RESERVE, kwargs))
        faulty = [each.path for each in read_body(letter) if each.is_faulty]
        assert faulty == ["message.command.lines[0].quantity"], letter.fault

    def test_a_missing_field_has_a_row(self, placed: Placed) -> None:
        kwargs = find_link(placed, RESERVE)["kwargs"]
        del kwargs["attempt"]
        (letter,) = keep(make(RESERVE, kwargs))
        assert [(each.path, each.value) for each in read_body(letter) if each.is_faulty] == [
            ("attempt", "missing")
        ]

    def test_personal_data_is_hidden_until_somebody_asks_for_it(self, placed: Placed) -> None:
        letter = keep_step(placed, "shipment.book_shipment", queue="shipment.commands")
        shown = {each.path: each.value for each in read_body(letter)}
        assert shown["message.command.address.city"] == "hidden"
        assert "London" not in str(shown)
        answer = Peer().post(f"/api/dead-letters/{letter.pk}/show/", {"why": "she called"}, format="json")
        values = {each["path"]: each["value"] for each in answer.json()["body"]}
        assert values["message.command.address.city"] == "London"
        did = OperatorAction.objects.get(verb="show a letter")
        assert (did.by, did.why, did.what) == ("operator", "she called", f"dead letter {letter.pk}")
        assert str(did.saga_id) == str(placed.saga_id)

    def test_a_payment_token_is_never_shown(self, placed: Placed) -> None:
        letter = keep_step(placed, "payment.authorize_payment")
        assert "tok_visa" not in str(read_body(letter, shows_personal=True))

    def test_without_a_reason_nothing_is_shown(self, placed: Placed) -> None:
        letter = keep_step(placed)
        answer = Peer().post(f"/api/dead-letters/{letter.pk}/show/", {"why": " "}, format="json")
        assert answer.status_code == 400
        assert not OperatorAction.objects.exists()

    def test_a_letter_that_is_no_json_is_hidden_whole(self, shop: Shop) -> None:
        message = make("x", {})
        message._body = message.body = b"ada@example.com, no json"
        (letter,) = keep(message)
        assert [each.value for each in read_body(letter)] == ["hidden"]

    @pytest.mark.parametrize(
        "body",
        [
            "Ada of London",
            ["Ada of London"],
            [["Ada of London"], {}, {}],
            [[], {"command": {"city": {"name": "London"}}}, {}],
            [[{"x": {"email": [{"of": ["London"]}]}}], {}, {}],
        ],
    )
    def test_a_broken_letter_hides_its_personal_data_too(self, body: Any) -> None:
        letter = DeadLetter(body=json.dumps(body))
        assert "London" not in str(read_body(letter))
        assert "London" in str(read_body(letter, shows_personal=True))

    def test_a_payment_token_in_what_is_broken_is_never_shown(self) -> None:
        tokens = [{"payment_token": {"a": ["tok_visa"]}}, {"customer": {"payment_token": "tok_visa"}}]
        letter = DeadLetter(body=json.dumps([[], {"command": tokens}, {}]))
        assert "tok_visa" not in str(read_body(letter, shows_personal=True))

    def test_one_nested_without_end(self) -> None:
        letter = DeadLetter(body="[" * 400 + "1" + "]" * 400)
        assert len(read_body(letter)) == 1

    def test_a_page_stays_small_whatever_the_letter_says(self) -> None:
        """A long key above many values was written once for each of them: 30 MB."""
        letter = DeadLetter(body=json.dumps({"x" * 30_000: [1] * 5_000}))
        shown = read_body(letter)
        assert len(shown) > 900
        assert sum(len(each.path) + len(each.value) for each in shown) < 500_000

    def test_an_erased_letter_has_no_body(self, placed: Placed) -> None:
        mark_erased([placed.saga_id])
        letter = keep_step(placed)
        assert (letter.body, read_body(letter)) == ("", [])
        assert find_offer(letter, "send again") == ERASED
        with pytest.raises(OperatorRefused, match="erased"):
            act_on(letter, "send again", **WHO)


class TestSendingAgain:
    def test_a_command_goes_out_unchanged_with_its_id_and_what_follows(self, placed: Placed) -> None:
        sent = find_link(placed, RESERVE)
        chain = [each for each in list_links(placed.messages[0]) if each["task"] == "shipment.book_shipment"]
        errbacks = sent["options"]["link_error"]
        letter = keep_step(placed, embed={"chain": chain, "errbacks": errbacks, "callbacks": None}, retries=2)
        placed.heard()
        act_on(letter, "send again", **WHO)
        (message,) = placed.messages
        assert (message["task"], message["kwargs"]) == (RESERVE, sent["kwargs"])
        options = message["options"]
        assert (options["task_id"], options["chain"], options["link_error"]) == (
            letter.task_id,
            chain,
            errbacks,
        )
        assert (options["exchange"], options["routing_key"]) == ("tasks", RESERVE)
        assert "retries" not in options
        letter.refresh_from_db()
        assert (letter.act, letter.became, letter.dealt_with_by) == ("send again", "", "ada")
        did = OperatorAction.objects.get()
        assert (did.verb, did.saga_id, did.subject) == ("send again", placed.saga_id, str(placed.id))

    def test_an_urgent_command_stays_urgent(self, placed: Placed) -> None:
        letter = keep_step(placed, "payment.capture_payment", queue="payment.urgent")
        placed.heard()
        act_on(letter, "send again", **WHO)
        assert placed.messages[0]["options"]["exchange"] == "urgent-tasks"

    def test_what_fails_todays_contract_can_only_be_read_and_dismissed(self, placed: Placed) -> None:
        kwargs = find_link(placed, RESERVE)["kwargs"]
        del kwargs["command"]["lines"]
        (letter,) = keep(make(RESERVE, kwargs))
        placed.heard()
        assert "missing required field `lines`" in find_offer(letter, "send again")
        with pytest.raises(OperatorRefused, match="lines"):
            act_on(letter, "send again", **WHO)
        assert placed.messages == []
        assert not OperatorAction.objects.exists()

    def test_what_was_changed_on_its_way_cannot_be_sent(self, shop: Shop) -> None:
        keys = replace(settings.MESSAGE_KEYS, mode=Mode.REQUIRE)
        with override_settings(MESSAGE_KEYS=keys):
            placed = shop.order()
            sound = keep_step(placed, "payment.authorize_payment")
            kwargs = find_link(placed, "payment.authorize_payment")["kwargs"]
            kwargs["command"]["amount"] += 1
            (forged,) = keep(make("payment.authorize_payment", kwargs, reason="delivery_limit"))
            assert find_offer(sound, "send again") == ""
            assert "not authentic" in find_offer(forged, "send again")

    def test_what_the_database_cannot_store_can_only_be_read_and_dismissed(self, placed: Placed) -> None:
        """A service says something of its own step, and hands on the next link, whose receiver refuses it."""
        message = make(RESERVE, find_link(placed, RESERVE)["kwargs"], reason="delivery_limit")
        replies = {**REPLIES, "authorize-payment": {**REPLIES["authorize-payment"], "note": "\0"}}
        message._body = message.body = json.dumps([[replies], *json.loads(message.body)[1:]]).encode()
        (letter,) = keep(message)
        assert "cannot be stored" in find_offer(letter, "send again")
        with pytest.raises(OperatorRefused, match="cannot be stored"):
            act_on(letter, "send again", **WHO)

    @pytest.mark.parametrize("queue", ["somewhere", "payment.control", ""])
    def test_what_came_from_no_queue_of_a_service(self, placed: Placed, queue: str) -> None:
        letter = keep_step(placed)
        letter.queue = queue
        assert find_offer(letter, "send again") == "it came from no queue of a service"

    def test_one_is_acted_on_once(self, placed: Placed) -> None:
        letter = keep_step(placed)
        placed.heard()
        act_on(letter, "send again", **WHO)
        with pytest.raises(OperatorRefused, match="sent again already, by ada"):
            act_on(letter, "dismiss", **WHO)
        assert len(placed.messages) == 1


class TestEvents:
    def announce(self, placed: Placed, *, of_saga: bool = True) -> dict[str, Any]:
        """An event of the order service that payment refused, as the feed has it."""
        event = OrderConfirmed(order=placed.id)
        made = writing.cloud_event(event, subject=str(placed.id), saga=placed.saga_id if of_saga else None)
        writing.add_events([made])
        OutboxMessage.objects.filter(kind="event").update(published_at=timezone.now())
        return made

    @pytest.mark.parametrize("of_saga", [True, False])
    def test_its_source_announces_it_to_the_service_that_refused_it(
        self, placed: Placed, of_saga: bool
    ) -> None:
        event = self.announce(placed, of_saga=of_saga)
        (letter,) = keep(make("events.receive", event, queue="payment.events", id=event["id"]))
        act_on(letter, "send again", **WHO)
        row = OutboxMessage.objects.filter(kind="task", name="events.receive").get()
        assert row.payload["kwargs"] == event
        assert row.payload["options"]["exchange"] == "events"
        assert row.payload["options"]["routing_key"] == "order.order_confirmed.again.payment"
        assert row.payload["options"]["task_id"] == event["id"]

    def test_what_the_letter_says_does_not_count_but_what_the_source_keeps(self, placed: Placed) -> None:
        event = self.announce(placed)
        changed = event | {"data": {"order": str(uuid4())}}
        (letter,) = keep(make("events.receive", changed, queue="payment.events"))
        act_on(letter, "send again", **WHO)
        row = OutboxMessage.objects.filter(kind="task", name="events.receive").get()
        assert row.payload["kwargs"] == event

    def test_the_events_of_a_batch_are_announced_one_by_one(self, shop: Shop) -> None:
        events = [self.announce(shop.order()) for _ in range(3)]
        (letter,) = keep(make("events.receive_all", {"events": events}, queue="payment.events"))
        act_on(letter, "send again", **WHO)
        rows = OutboxMessage.objects.filter(kind="task", name="events.receive").order_by("id")
        assert [row.payload["kwargs"]["id"] for row in rows] == [each["id"] for each in events]

    def test_another_service_is_asked(self, placed: Placed, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[Any] = []

        def post(client: ServiceClient, path: str, body: Any) -> Any:
            asked.append((client.service, path, body))
            return {"lost": []}

        monkeypatch.setattr(ServiceClient, "post", post)
        event = make_event(saga=str(placed.saga_id))
        (letter,) = keep(make("events.receive", event, queue="order.events"))
        act_on(letter, "send again", **WHO)
        known = {"id": event["id"], "saga": event["saga"], "time": event["time"]}
        assert asked == [("payment", "/api/events/again/", {"receiver": "order", "events": [known]})]

    def test_an_event_that_its_source_keeps_no_more(
        self, placed: Placed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        event = make_event()
        monkeypatch.setattr(ServiceClient, "post", lambda *_: {"lost": [event["id"]]})
        (letter,) = keep(make("events.receive", event, queue="order.events"))
        with pytest.raises(OperatorRefused, match="payment keeps its event no more"):
            act_on(letter, "send again", **WHO)
        letter.refresh_from_db()
        assert letter.dealt_with_at is None

    def test_a_source_that_is_silent(self, placed: Placed, monkeypatch: pytest.MonkeyPatch) -> None:
        def post(*_: Any) -> Any:
            raise ServiceSilent("payment does not answer")

        monkeypatch.setattr(ServiceClient, "post", post)
        (letter,) = keep(make("events.receive", make_event(), queue="order.events"))
        with pytest.raises(OperatorRefused, match="payment does not answer"):
            act_on(letter, "send again", **WHO)

    @pytest.mark.parametrize(
        ("changed", "fault"),
        [
            ({"data": {}}, "missing required field"),
            ({"type": "payment.no_such"}, "this release knows no event"),
            ({"source": "/nowhere"}, "no service that could announce"),
        ],
    )
    def test_what_its_contract_does_not_allow(self, shop: Shop, changed: dict[str, Any], fault: str) -> None:
        (letter,) = keep(make("events.receive", make_event(**changed), queue="order.events"))
        assert fault in find_offer(letter, "send again")

    @pytest.mark.parametrize("time", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-01-01T00:00:00"])
    def test_a_time_that_no_event_has_harms_no_other(self, placed: Placed, time: str) -> None:
        event = self.announce(placed, of_saga=False)
        strange = self.announce(placed, of_saga=False) | {"id": str(uuid4()), "time": time}
        (letter,) = keep(make("events.receive_all", {"events": [strange]}, queue="payment.events"))
        (sound,) = keep(make("events.receive", event, queue="payment.events"))
        remedy = remedies.Remedy(LetterAct.SEND, **WHO)
        refusals = {each.letter.pk: each.refusal for each in remedy.apply([letter, sound])}
        assert refusals == {letter.pk: "order keeps its event no more", sound.pk: ""}

    def test_one_time_far_away_makes_no_look_longer(self, shop: Shop) -> None:
        """Events are read by the time of their publishing: a stretch of years would be the whole outbox."""
        now = timezone.now()
        asked = [AskedEvent(uuid4(), None, now - timedelta(days=days)) for days in (0, 300, 900)]
        with CaptureQueriesContext(connection) as read:
            announce_again(asked, "shipment")
        between = [each["sql"].partition("BETWEEN")[2] for each in read if "BETWEEN" in each["sql"]]
        assert len(between) == 3

    def test_the_source_says_which_it_keeps_no_more(self, placed: Placed) -> None:
        event = self.announce(placed)
        unknown = AskedEvent(uuid4(), None, timezone.now())
        known = AskedEvent(UUID(event["id"]), placed.saga_id, timezone.now())
        assert announce_again([known, unknown], "shipment") == {unknown.id}


class TestRebuilding:
    def test_the_flow_is_driven_and_stands_first(self, placed: Placed) -> None:
        park(placed)
        letter = keep_step(placed)
        assert [each.act for each in list_offers(letter)] == ["rebuild", "send again", "dismiss"]
        assert find_offer(letter, "rebuild") == ""
        act_on(letter, "rebuild", **WHO)
        assert placed.saga.status != "parked"
        assert {each.verb for each in OperatorAction.objects.all()} == {"retry", "rebuild"}

    def test_of_no_flow_there_is_nothing_to_drive(self, shop: Shop) -> None:
        (letter,) = keep_garbage()
        assert find_offer(letter, "rebuild") == remedies.NO_FLOW
        with pytest.raises(OperatorRefused, match="no order"):
            act_on(letter, "rebuild", **WHO)

    def test_a_flow_that_has_ended_is_not_driven(self, placed: Placed) -> None:
        letter = keep_step(placed)
        placed.set(status="completed", due_at=None)
        assert "has ended" in find_offer(letter, "rebuild")


class TestOutcomes:
    @pytest.fixture
    def told(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        said: dict[str, Any] = {}

        def read(service: str, ids: Collection[UUID]) -> Any:
            return said.get(service)

        monkeypatch.setattr(barrier_client, "read_barriers_of_many", read)
        return said

    def sent(self, placed: Placed) -> DeadLetter:
        letter = keep_step(placed)
        act_on(letter, "send again", **WHO)
        return letter

    def became(self, letter: DeadLetter) -> str:
        note_outcomes()
        letter.refresh_from_db()
        return letter.became

    @pytest.mark.parametrize(
        ("action", "undo", "became"),
        [
            (Action.DONE, Undo.NONE, "done"),
            (Action.REFUSED, Undo.NONE, "refused"),
            (Action.TOMBSTONE, Undo.DONE, "undone"),
            (Action.INTENT, Undo.NONE, ""),
        ],
    )
    def test_the_barrier_says_what_became_of_a_step(
        self, placed: Placed, told: dict[str, Any], action: Action, undo: Undo, became: str
    ) -> None:
        letter = self.sent(placed)
        told["inventory"] = {placed.saga_id: {"reserve-stock": Held(action, undo, None, "")}}
        assert self.became(letter) == became

    def test_while_its_service_is_silent_it_is_not_known(self, placed: Placed, told: dict[str, Any]) -> None:
        letter = self.sent(placed)
        park(placed)
        assert self.became(letter) == ""
        placed.set(status="compensated", due_at=None)
        assert self.became(letter) == "compensated"

    def test_one_that_is_refused_again_is_dead_again(self, placed: Placed, told: dict[str, Any]) -> None:
        letter = self.sent(placed)
        keep_step(placed, id=letter.task_id)
        assert self.became(letter) == "dead again"

    def test_a_flow_that_was_driven(self, placed: Placed, told: dict[str, Any]) -> None:
        letter = keep_step(placed)
        act_on(letter, "rebuild", **WHO)
        assert self.became(letter) == ""
        park(placed)
        assert self.became(letter) == "parked"

    def test_what_has_no_flow_was_not_refused_in_time(
        self, shop: Shop, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ServiceClient, "post", lambda *_: {"lost": []})
        (letter,) = keep(make("events.receive", make_event(), queue="order.events"))
        act_on(letter, "send again", **WHO)
        assert self.became(letter) == ""
        long_ago = timezone.now() - timedelta(seconds=outcomes.COMES_BACK_SECONDS + 1)
        DeadLetter.objects.update(received_at=long_ago, dealt_with_at=long_ago)
        assert self.became(letter) == "not refused"


class TestOverHttp:
    def test_the_list_the_groups_and_one(self, placed: Placed) -> None:
        letter = keep_step(placed)
        http = Peer()
        (line,) = http.get("/api/dead-letters/?state=open").json()["results"]
        assert line["id"] == letter.pk
        assert "body" not in line
        (group,) = http.get("/api/dead-letters/groups/").json()["groups"]
        assert (group["fingerprint"], group["count"]) == (letter.fingerprint, 1)
        found = http.get(f"/api/dead-letters/?fingerprint={letter.fingerprint}&saga={placed.saga_id}").json()
        assert len(found["results"]) == 1
        one = http.get(f"/api/dead-letters/{letter.pk}/").json()
        assert one["letter"]["id"] == letter.pk
        assert [each["act"] for each in one["offers"]] == ["rebuild", "send again", "dismiss"]

    def test_an_act_and_its_refusal(self, placed: Placed) -> None:
        letter, http = keep_step(placed), Peer()
        path, body = f"/api/dead-letters/{letter.pk}/send-again/", {"why": "mended"}
        answer = http.post(path, body, format="json", headers={"Idempotency-Key": "k1"})
        assert (answer.status_code, answer.json()["verb"]) == (202, "send again")
        assert http.post(path, body, format="json", headers={"Idempotency-Key": "k1"}).status_code == 202
        again = http.post(path, body, format="json")
        assert (again.status_code, again.json()["code"]) == (409, "operator_refused")
        assert http.get("/api/dead-letters/?state=open").json()["results"] == []
        assert http.get("/api/dead-letters/?state=maybe").status_code == 400

    def test_there_is_no_such_letter(self, shop: Shop) -> None:
        assert Peer().get("/api/dead-letters/7/").status_code == 404
        assert Peer().post("/api/dead-letters/7/dismiss/", {"why": "x"}, format="json").status_code == 404


@pytest.mark.parametrize("act", [*LetterAct])
def test_without_a_reason_nothing_is_done(placed: Placed, act: LetterAct) -> None:
    letter = keep_step(placed)
    placed.heard()
    with pytest.raises(OperatorRefused, match="say why"):
        act_on(letter, act.value, by="ada", why=" ")
    letter.refresh_from_db()
    assert (letter.dealt_with_at, placed.messages) == (None, [])


def test_a_stored_letter_is_read_without_an_error_whatever_it_holds(shop: Shop) -> None:
    for body in ("", "[", "[1, 2]", "7", '[[], {"events": 7}, {}]', "[" * 5000):
        for task in ("x", "events.receive", "events.receive_all", RESERVE):
            letter = DeadLetter(task=task, queue="order.events", body=body, headers={"task": task, "id": "1"})
            assert StoredLetter(letter).fault
            assert reading.read_body(letter) is not None
            assert encode(list_offers(letter)[0])
