"""What a message says: the sentence, the facts, where to mend and how to acknowledge."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from celery_config.common.conditions import Amount
from celery_config.notifications.texts import LONGEST_SUBJECT, Notice, make_body, write_subject, write_text

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
NOTICE = Notice(
    message="opened", now=NOW, sentence="12 sagas wait for a decision: the carrier answered 500.", severity="ticket",
    kind="parked", cause="the carrier answered 500", incident="0199", count=12,
    money=[Amount("held", "EUR", 3570)], since=NOW - timedelta(hours=2), due=NOW + timedelta(hours=2),
    link="http://order/parked/", page="http://order/incident/", advice="Ask the carrier.", repeat_seconds=14400,
)  # fmt: skip


def test_an_email_says_what_stands_how_much_since_when_and_what_to_do() -> None:
    assert write_subject(NOTICE) == NOTICE.sentence
    assert write_text(NOTICE) == (
        "12 sagas wait for a decision: the carrier answered 500.\n"
        "\n"
        "how many:     12\n"
        "money:        €35.70 held\n"
        "since:        10:00 UTC (2 h ago)\n"
        "decide by:    14:00 UTC (in 2 h)\n"
        "severity:     ticket\n"
        "\n"
        "Ask the carrier.\n"
        "Look and mend: http://order/parked/\n"
        "This is repeated every 4 h while it lasts. Acknowledge it, and it is not: http://order/incident/\n"
    )


def test_an_end_says_how_long_it_lasted() -> None:
    over = replace(NOTICE, message="over", over_at=NOW, due=None, money=[])
    assert write_subject(over).startswith("Over: 12 sagas wait")
    assert "over:         12:00 UTC, after 2 h\n" in write_text(over)
    assert "Acknowledge" not in write_text(over)


def test_a_subject_is_one_line_of_a_bounded_length() -> None:
    subject = write_subject(
        replace(NOTICE, message="continues", sentence="a\r\nBcc: eve@example.com " + "x" * 500)
    )
    assert subject.startswith("Still: a Bcc: eve@example.com x")
    assert len(subject) == LONGEST_SUBJECT


def test_a_webhook_has_the_same_as_json() -> None:
    body = make_body(NOTICE)
    assert json.loads(json.dumps(body)) == body
    assert (body["type"], body["timestamp"]) == ("incident.opened", "2026-12-01T12:00:00Z")
    assert body["data"] == {
        "incident": "0199", "kind": "parked", "cause": "the carrier answered 500", "severity": "ticket",
        "sentence": NOTICE.sentence, "advice": "Ask the carrier.", "count": 12,
        "money": [{"state": "held", "currency": "EUR", "amount": 3570}],
        "since": "2026-12-01T10:00:00Z", "due": "2026-12-01T14:00:00Z", "over_at": None, "repeat": 0,
        "acknowledged_by": "", "link": "http://order/parked/", "page": "http://order/incident/",
    }  # fmt: skip


def test_a_test_says_that_it_is_one() -> None:
    test = Notice(message="test", now=NOW, sentence="A test of the rule “night”.")
    assert write_subject(test) == "Test: A test of the rule “night”."
    assert make_body(test)["type"] == "test"
