"""Somebody is told: once a cause, again while it lasts, and when it is over, whatever fails on the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import OperationalError
from django.db.models import F
from django.test import override_settings
from django.utils import timezone

from celery_config.common.conditions import Amount, Condition, ConditionKind, Severity
from celery_config.errors import OperatorRefused
from celery_config.messaging.models import Observation
from celery_config.notifications import heartbeat, looking
from celery_config.notifications.acknowledging import acknowledge
from celery_config.notifications.blackout import Blackout
from celery_config.notifications.delivery import claim, send_again, send_next, send_test
from celery_config.notifications.duties import delete_old
from celery_config.notifications.environment import follow_environment
from celery_config.notifications.incidents import follow, write_deliveries
from celery_config.notifications.looking import list_sources, look
from celery_config.notifications.models import Channel, Delivery, Incident, NotificationRule, Outcome
from celery_config.notifications.notifier import Sender, look_once
from tests.service.together import concurrent, together
from tests.webhook_receiver import Receiver, receive

pytestmark = pytest.mark.django_db
CAUSE = "the carrier answered 500 when asked to cancel the shipment"
SOURCE = "parked"


def make(cause: str = CAUSE, **fields: Any) -> Condition:
    given: dict[str, Any] = {
        "kind": ConditionKind.PARKED, "sentence": f"2 sagas wait for a decision: {cause}.",
        "link": "http://order/admin/", "severity": Severity.TICKET, "count": 2,
        "money": [Amount("held", "EUR", 3570)],
    }  # fmt: skip
    return Condition(cause=cause, **(given | fields))


def see(*conditions: Condition, source: str = SOURCE) -> None:
    """Look once, and send what is due."""
    follow({source: conditions}, every=list_sources())
    write_deliveries()
    while send_next():
        pass


def pass_time(seconds: float) -> None:
    """Let all that happened be so many seconds longer ago."""
    by = timedelta(seconds=seconds)
    Incident.objects.update(
        first_seen_at=F("first_seen_at") - by, last_seen_at=F("last_seen_at") - by, tell_at=F("tell_at") - by
    )
    Delivery.objects.update(created_at=F("created_at") - by, next_at=F("next_at") - by)


@pytest.fixture
def rule() -> NotificationRule:
    return NotificationRule.objects.create(
        name="night", emails="ada@example.com, bob@example.com", repeat_seconds=600
    )


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.NOTIFY_NETWORKS = ["127.0.0.0/8"]
    with receive() as receiver:
        yield receiver


@pytest.fixture
def webhook(receiver: Receiver) -> NotificationRule:
    return NotificationRule.objects.create(name="hook", channel=Channel.WEBHOOK, url=receiver.url)


def subjects() -> list[str]:
    return [message.subject for message in mail.outbox]


class TestOnce:
    def test_a_cause_is_told_once_and_when_it_is_over(self, rule: NotificationRule) -> None:
        for _ in range(3):
            see(make())
        assert subjects() == [f"2 sagas wait for a decision: {CAUSE}."]
        assert mail.outbox[0].to == ["ada@example.com", "bob@example.com"]
        assert "€35.70 held" in mail.outbox[0].body
        pass_time(60)
        see()
        see()
        assert subjects()[1:] == [f"Over: 2 sagas wait for a decision: {CAUSE}."]
        assert Incident.objects.get().settled

    def test_what_comes_and_goes_is_one_incident(self, rule: NotificationRule) -> None:
        see(make())
        see()
        see(make(count=3))
        assert Incident.objects.get().count == 3
        assert len(mail.outbox) == 1

    def test_what_comes_back_is_told_again(self, rule: NotificationRule) -> None:
        see(make())
        pass_time(60)
        see()
        see(make())
        assert [each[:5] for each in subjects()] == ["2 sag", "Over:", "2 sag"]

    def test_what_mends_itself_soon_wakes_no_one(self, rule: NotificationRule) -> None:
        see(make(patience=90))
        assert not mail.outbox
        pass_time(60)
        see()
        assert not mail.outbox
        assert Incident.objects.get().settled
        see(make(patience=90))
        pass_time(95)
        see(make(patience=90))
        assert len(mail.outbox) == 1

    def test_a_source_that_cannot_look_closes_nothing(self, rule: NotificationRule) -> None:
        see(make())
        pass_time(60)
        follow({"other": []}, every=list_sources())
        assert Incident.objects.get().over_at is None

    def test_a_source_that_there_is_no_more_closes_its_own(self) -> None:
        see(make(), source="of an older version")
        pass_time(60)
        see()
        assert Incident.objects.get().over_at is not None

    @concurrent
    def test_two_notifiers_open_it_and_send_it_once(self, rule: NotificationRule) -> None:
        for _ in range(5):
            together(*[lambda: see(make())] * 3)
        assert Incident.objects.count() == 1
        assert len(mail.outbox) == 1


class TestRepeats:
    def test_it_is_repeated_while_it_lasts_with_the_present_count(self, rule: NotificationRule) -> None:
        see(make())
        pass_time(601)
        see(make(sentence="9 sagas wait.", count=9))
        see(make(sentence="9 sagas wait.", count=9))
        assert subjects()[1:] == ["Still: 9 sagas wait."]

    def test_what_is_acknowledged_is_not_repeated_and_its_end_is_told(self, rule: NotificationRule) -> None:
        see(make())
        acknowledge(Incident.objects.get().pk, by="ada", note="I call the carrier")
        pass_time(6000)
        see(make())
        assert len(mail.outbox) == 1
        pass_time(60)
        see()
        assert subjects()[1:] == [f"Over: 2 sagas wait for a decision: {CAUSE}."]

    def test_it_is_acknowledged_once_with_a_note_and_while_it_stands(self) -> None:
        see(make())
        pk = Incident.objects.get().pk
        with pytest.raises(OperatorRefused, match="say what you do"):
            acknowledge(pk, by="ada", note=" ")
        acknowledge(pk, by="ada", note="mine")
        with pytest.raises(OperatorRefused, match="acknowledged by ada"):
            acknowledge(pk, by="bob", note="mine")
        pass_time(60)
        see()
        with pytest.raises(OperatorRefused, match="is over"):
            acknowledge(pk, by="bob", note="mine")


class TestRules:
    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({}, True),
            ({"kinds": ["parked", "relay"]}, True),
            ({"kinds": ["relay"]}, False),
            ({"kinds": ["overdue"]}, True),  # what it also is
            ({"least_severity": "page"}, False),
            ({"enabled": False}, False),
        ],
    )
    def test_a_rule_chooses(self, fields: dict[str, Any], told: bool) -> None:
        NotificationRule.objects.create(name="some", emails="ada@example.com", **fields)
        see(make(also=[ConditionKind.OVERDUE]))
        assert bool(mail.outbox) is told

    def test_a_new_rule_is_told_of_what_stands_already(self, rule: NotificationRule) -> None:
        see(make())
        NotificationRule.objects.create(name="late", emails="eve@example.com")
        see(make())
        assert [message.to[0] for message in mail.outbox] == ["ada@example.com", "eve@example.com"]

    def test_the_environment_makes_one_follows_its_addresses_and_switches_it_off(self) -> None:
        for emails, expected in (
            (["a@example.com", "b@example.com"], ("a@example.com, b@example.com", True)),
            (["c@example.com"], ("c@example.com", True)),
            ([], ("", False)),
            (["c@example.com"], ("c@example.com", True)),
        ):
            with override_settings(NOTIFY_EMAILS=emails):
                follow_environment()
                follow_environment()
            rule = NotificationRule.objects.get()
            assert (rule.emails, rule.enabled) == expected


class TestSending:
    def test_a_webhook_is_signed_and_tried_again_until_it_is_taken(
        self, receiver: Receiver, webhook: NotificationRule
    ) -> None:
        receiver.answers = [500, 503]
        see(make())
        assert (receiver.refused, receiver.taken) == (1, [])
        delivery = Delivery.objects.get()
        assert (delivery.outcome, delivery.attempts, delivery.error) == ("due", 1, "answered 500: busy")
        for _ in range(2):
            pass_time(3600)
            see(make())
        assert Delivery.objects.get().outcome == "sent"
        (body,) = receiver.verify(webhook.secret)
        assert (body["type"], body["data"]["count"]) == ("incident.opened", 2)
        headers = {name.lower(): value for name, value in receiver.taken[0][0].items()}
        assert headers["webhook-id"] == f"msg_{delivery.pk.hex}"

    def test_its_end_waits_until_its_begin_has_arrived(
        self, receiver: Receiver, webhook: NotificationRule
    ) -> None:
        receiver.answers = [500]
        see(make())
        Incident.objects.update(last_seen_at=timezone.now() - timedelta(minutes=1))
        see()
        assert receiver.taken == []
        pass_time(3600)
        see()
        see()
        assert [body["type"] for body in receiver.verify(webhook.secret)] == [
            "incident.opened",
            "incident.over",
        ]

    def test_no_redirect_is_followed(self, receiver: Receiver, webhook: NotificationRule) -> None:
        receiver.answers, receiver.location = [302], receiver.url
        assert send_test(webhook).error == "answered 302: busy"
        assert receiver.taken == []

    def test_410_says_that_no_more_is_wanted(self, receiver: Receiver, webhook: NotificationRule) -> None:
        receiver.answers = [410]
        see(make())
        assert Delivery.objects.get().outcome == "failed"

    def test_a_private_address_is_not_reached_unless_it_is_named(
        self, receiver: Receiver, webhook: NotificationRule, settings: Any
    ) -> None:
        settings.NOTIFY_NETWORKS = ["10.0.0.0/8"]
        done = send_test(webhook)
        assert done.outcome == "failed"
        assert "127.0.0.1 has an address that is not public" in done.error
        assert (receiver.taken, receiver.refused) == ([], 0)

    def test_one_that_cannot_be_sent_stops_no_other(
        self, rule: NotificationRule, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> None:
            raise RuntimeError("a fault of ours")

        NotificationRule.objects.create(name="hook", channel=Channel.WEBHOOK, url="https://example.com/")
        monkeypatch.setattr("celery_config.notifications.channels.send_webhook", fail)
        see(make())
        assert len(mail.outbox) == 1
        assert Delivery.objects.get(rule__name="hook").error == "RuntimeError: a fault of ours"

    def test_without_a_mail_server_the_log_says_so(self, rule: NotificationRule, settings: Any) -> None:
        settings.EMAIL_HOST_IS_SET = False
        assert send_test(rule).error == "no mail server is set: EMAIL_URL names one"

    def test_what_was_given_up_is_sent_again_when_a_person_says_so(
        self, receiver: Receiver, webhook: NotificationRule
    ) -> None:
        receiver.answers = [410]
        see(make())
        assert send_again(list(Delivery.objects.all())) == 1
        see(make())
        assert [body["type"] for body in receiver.verify(webhook.secret)] == ["incident.opened"]
        assert send_again(list(Delivery.objects.all())) == 0

    def test_a_deleted_rule_sends_nothing_more(self, rule: NotificationRule) -> None:
        follow({SOURCE: [make()]}, every=list_sources())
        write_deliveries()
        rule.delete()
        while send_next():
            pass
        assert not mail.outbox
        assert Delivery.objects.get().error == "its rule was deleted"

    def test_one_whose_sender_died_is_sent_later(self, rule: NotificationRule) -> None:
        follow({SOURCE: [make()]}, every=list_sources())
        write_deliveries()
        assert claim() is not None
        assert not send_next()
        pass_time(100)
        assert send_next()
        assert len(mail.outbox) == 1


class TestLooking:
    def test_one_source_that_fails_becomes_a_condition_and_stops_no_other(
        self, rule: NotificationRule, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> None:
            raise RuntimeError("a customer's name")

        monkeypatch.setattr("celery_config.saga.conditions.find_parked", fail)
        found = look(1.0)
        assert {*found} == {*settings.CONDITIONS, looking.BLIND, looking.NOTIFIER} - {"parked"}
        (blind,) = found[looking.BLIND]
        assert (blind.kind, blind.cause) == (ConditionKind.BLIND, "parked")
        assert "RuntimeError" in blind.sentence
        assert "customer" not in blind.sentence

    def test_a_look_beats_while_the_sender_moves(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("celery_config.saga.service_conditions.read_answers", dict)
        sender = Sender()
        look_once(10.0, sender)
        assert heartbeat.find_silence() is None, "its thread does not run"
        monkeypatch.setattr(Sender, "moves", True)
        look_once(10.0, sender)
        assert heartbeat.find_silence() == pytest.approx(0, abs=5)
        assert sender.wake.is_set()


class TestItsOwnDeath:
    def die(self, seconds: float = 3600) -> None:
        Observation.objects.filter(pk="notifier").update(at=timezone.now() - timedelta(seconds=seconds))

    def test_the_relay_tells_of_it_and_of_nothing_else(self, rule: NotificationRule) -> None:
        heartbeat.beat()
        follow({SOURCE: [make()]}, every=list_sources())
        write_deliveries()
        watch = make_old_watch()
        watch.look()
        assert not mail.outbox
        self.die()
        for _ in range(3):
            watch.look()
        assert [each[:31] for each in subjects()] == ["The notifier has not looked for"]
        assert heartbeat.check_notifier().startswith("warning: the notifier is dead")

    def test_a_notifier_that_lives_again_says_that_it_is_over(self, rule: NotificationRule) -> None:
        heartbeat.beat()
        self.die()
        make_old_watch().look()
        heartbeat.beat()
        pass_time(60)
        see(source=looking.NOTIFIER)
        assert [each[:18] for each in subjects()] == ["The notifier has n", "Over: The notifier"]

    def test_a_relay_that_has_just_started_waits_for_a_notifier_that_starts_beside_it(
        self, rule: NotificationRule
    ) -> None:
        heartbeat.beat()
        self.die()
        heartbeat.NotifierWatch().look()
        assert not mail.outbox

    def test_one_that_never_ran_has_some_time_to_begin(
        self, rule: NotificationRule, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        watch = heartbeat.NotifierWatch()
        watch.look()
        assert not mail.outbox
        watch.began -= heartbeat.compute_limit() + 1
        watch.look()
        assert subjects()[0].startswith("The notifier has never run")


def make_old_watch() -> heartbeat.NotifierWatch:
    """That of a relay that has run for long."""
    watch = heartbeat.NotifierWatch()
    watch.began -= heartbeat.compute_limit() + 1
    return watch


class TestBlackout:
    @pytest.fixture
    def blackout(self, settings: Any) -> Blackout:
        settings.NOTIFY_EMAILS = ["ada@example.com"]
        return Blackout(patience=60)

    def test_a_database_that_is_away_is_told_without_it_once_and_when_it_is_over(
        self, blackout: Blackout, django_assert_num_queries: Any
    ) -> None:
        with django_assert_num_queries(0):
            blackout.note_failure()
            assert not mail.outbox
            assert blackout.since is not None
            blackout.since -= 61
            blackout.note_failure()
            blackout.note_failure()
            assert [each[:19] for each in subjects()] == ["The notifier cannot"]
            blackout.note_success()
            blackout.note_success()
        assert [each[:17] for each in subjects()[1:]] == ["Over: The notifie"]

    def test_it_is_told_as_soon_as_a_mail_server_takes_it(self, blackout: Blackout, settings: Any) -> None:
        settings.EMAIL_HOST_IS_SET = False
        blackout.note_failure()
        assert blackout.since is not None
        blackout.since -= 61
        blackout.note_failure()
        settings.EMAIL_HOST_IS_SET = True
        blackout.note_failure()
        assert len(mail.outbox) == 1

    def test_a_look_that_fails_is_known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise OperationalError("away")

        monkeypatch.setattr("celery_config.notifications.notifier.follow", fail)
        monkeypatch.setattr("celery_config.saga.service_conditions.read_answers", dict)
        assert not look_once(10.0, Sender())


def test_what_was_over_long_ago_is_deleted(rule: NotificationRule, settings: Any) -> None:
    see(make("old"))
    pass_time(60)
    see()
    see(make("new"))
    send_test(rule)
    Incident.objects.filter(cause="old").update(over_at=timezone.now() - timedelta(days=100))
    Delivery.objects.filter(incident__isnull=True).update(created_at=timezone.now() - timedelta(days=100))
    while delete_old():
        pass
    assert [each.cause for each in Incident.objects.all()] == ["new"]
    assert [each.incident.cause for each in Delivery.objects.all() if each.incident] == ["new"]
    assert Delivery.objects.count() == 1
    assert Delivery.objects.get().outcome == Outcome.SENT
