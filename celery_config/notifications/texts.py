"""What a message says: one sentence of what stands and why, the facts, the page with the act, and what to do. Pure.

`docs/reference/messages.md` has the body of a webhook.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from celery_config.common.conditions import Amount
from celery_config.common.moments import Moment, format_moment, format_span
from celery_config.common.money import money

BEGINNINGS = {"opened": "", "continues": "Still: ", "over": "Over: ", "test": "Test: "}
TYPES = {
    "opened": "incident.opened",
    "continues": "incident.continues",
    "over": "incident.over",
    "test": "test",
}
LONGEST_SUBJECT = 150
TEST = "A test of the rule “{rule}”: what it is about is sent here."


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One message, as both channels need it; times are in UTC."""

    message: str
    number: int = 0
    now: datetime
    sentence: str
    advice: str = ""
    severity: str = ""
    kind: str = ""
    cause: str = ""
    incident: str = ""
    count: int = 0
    money: Sequence[Amount] = ()
    since: datetime | None = None
    due: datetime | None = None
    over_at: datetime | None = None
    acknowledged_by: str = ""
    link: str = ""
    page: str = ""
    """Of the incident, where it is acknowledged."""
    repeat_seconds: int = 0


def write_subject(notice: Notice) -> str:
    """Return the subject of an e-mail, without line breaks."""
    text = " ".join(f"{BEGINNINGS[notice.message]}{notice.sentence}".split())
    return text if len(text) <= LONGEST_SUBJECT else f"{text[: LONGEST_SUBJECT - 1]}…"


def write_text(notice: Notice) -> str:
    """Return the plain text of an e-mail."""
    lines = [f"{BEGINNINGS[notice.message]}{notice.sentence}", ""]
    lines += [f"{f'{name}:':<14}{value}" for name, value in list_facts(notice)]
    lines += ["", *write_advice(notice)]
    return "\n".join(lines).strip() + "\n"


def list_facts(notice: Notice) -> Iterator[tuple[str, str]]:
    if notice.count > 1:
        yield "how many", f"{notice.count:,}"
    if notice.money:
        yield "money", ", ".join(f"{money(each.amount, each.currency)} {each.state}" for each in notice.money)
    if notice.since:
        yield "since", format_moment(Moment(notice.since, away=not notice.over_at), notice.now)
    if notice.due:
        yield "decide by", format_moment(Moment(notice.due, away=True), notice.now)
    if notice.over_at:
        lasted = f", after {format_span(notice.over_at - notice.since)}" if notice.since else ""
        yield "over", format_moment(Moment(notice.over_at), notice.now) + lasted
    if notice.acknowledged_by:
        yield "acknowledged", f"by {notice.acknowledged_by}"
    if notice.severity:
        yield "severity", notice.severity


def write_advice(notice: Notice) -> Iterator[str]:
    if notice.message == "test":
        return
    if notice.message == "over":
        yield f"The incident: {notice.page}"
        return
    if notice.advice:
        yield notice.advice
    yield f"Look and mend: {notice.link}"
    if notice.repeat_seconds:
        every = format_span(timedelta(seconds=notice.repeat_seconds))
        yield f"This is repeated every {every} while it lasts. Acknowledge it, and it is not: {notice.page}"
    else:
        yield f"Acknowledge it, so that others see that you look: {notice.page}"


def make_body(notice: Notice) -> dict[str, Any]:
    """Return the body of a webhook."""
    body: dict[str, Any] = {"type": TYPES[notice.message], "timestamp": write_time(notice.now)}
    if notice.message == "test":
        return {**body, "data": {"sentence": notice.sentence}}
    return {
        **body,
        "data": {
            "incident": notice.incident,
            "kind": notice.kind,
            "cause": notice.cause,
            "severity": notice.severity,
            "sentence": notice.sentence,
            "advice": notice.advice,
            "count": notice.count,
            "money": [
                {"state": each.state, "currency": each.currency, "amount": each.amount}
                for each in notice.money
            ],
            "since": write_time(notice.since),
            "due": write_time(notice.due),
            "over_at": write_time(notice.over_at),
            "repeat": notice.number,
            "acknowledged_by": notice.acknowledged_by,
            "link": notice.link,
            "page": notice.page,
        },
    }


def write_time(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None
