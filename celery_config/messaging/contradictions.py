"""What an event from outside says against our rows, in plain words, and what to do about it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from celery_config.common.money import money

ACTION_WORDS = {
    "intent": "called, no answer yet",
    "done": "done",
    "refused": "refused",
    "tombstone": "never ran, and never will",
}
TRIED_WORDS = {"do": "the step", "undo": "its undoing", "fence": "to make sure that it never runs"}
ASKED = re.compile(r"^(\w+): asked (.*), reported (.*)$")
HERE = re.compile(r"^([\w-]+) of saga (\S+) is (\w+) here$")
KEY_OF = re.compile(r"^the key is that of (\S+)$")


def describe_reason(reason: str, told: Mapping[str, Any] | Any) -> list[str]:
    """Return why an event cannot be true, as it is kept, in sentences for people.

    Args:
        told: what the event says; its currency is that of its amounts.
    """
    currency = str(told.get("currency") or "") if isinstance(told, Mapping) else ""
    return [describe_part(part, currency) for part in reason.split("; ")]


def describe_part(part: str, currency: str) -> str:
    if found := ASKED.match(part):
        name, asked, reported = found.groups()
        if name.endswith("amount"):
            asked, reported = (format_amount(each, currency) for each in (asked, reported))
        return f"The {name.replace('_', ' ')}: we asked for {asked}, it says {reported}."
    if found := HERE.match(part):
        step, saga, action = found.groups()
        known = ACTION_WORDS.get(action, action)
        return f"What we know of “{step.replace('-', ' ')}” of the saga {saga}: {known}."
    if found := KEY_OF.match(part):
        return f"We made the call with this key for something else: {found[1]}."
    return f"{part[:1].upper()}{part[1:]}."


def format_amount(text: str, currency: str) -> str:
    is_amount = bool(currency) and text.lstrip("-").isdecimal()
    return money(int(text), currency) if is_amount else text


def advise(service: str, outside: str) -> str:
    """Return what a person does about a contradiction.

    Args:
        outside: who sent the event: "the payment provider".
    """
    return (
        f"It changed nothing here. Compare the order with the page of {outside}:"
        f" ./manage.py {service} reconcile lists where the two books differ."
        f" If {outside} is right, undo there what we did not ask for. If the event is wrong, there is nothing to do;"
        " tell those who sent it."
    )
