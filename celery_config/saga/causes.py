"""Causes in plain words: one line for a step's failure or refusal, the same for all with the same fault. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from celery_config.common.services import SERVICES
from celery_config.contracts.base import LOST, Command, snake_case


class CauseKind(StrEnum):
    """What parks a flow, or is known of it since: the words by which its line is known."""

    ANSWERED = "answered"
    LATE = "did not answer in time"
    BROKEN = "the connection to"
    UNABLE = "could not"
    """A service's own words follow."""
    LOST = "knows nothing of a step that was done"
    SILENT = "nothing was heard of"
    ANSWERED_LATE = "answered late"
    """What was not heard of when it was parked has come since; what follows from it is not sent by itself."""
    END_UNHEARD = "its end was not heard of"
    UNDRIVABLE = "cannot be driven"
    UNKNOWN_VERSION = "no worker knows its name and version"
    CONTRADICTED = "said that it has taken the money, and that it has let go of it"
    RECOVERED = "recovered"


TOO_LARGE = "its messages are too large"
# Causes that say what stopped a flow, but not why.
WITHOUT_REASON = ("step_failed", "dead_letter", "deadline_passed")
# Codes of steps whose tries are used up: what became of them is not known.
GAVE_UP = ("unknown_outcome", "error", LOST)
# What a fence asks. The point of no return of what can be undone is the taking of the money.
WHETHER_IT_RAN = "whether it took the money"
LONGEST_WORDS = 120
# The customer reads the cause of an order. Who of us cancelled it and why is in the trail of operators' actions.
CANCELLED_BY_US = {"step": "", "code": "cancelled", "reason": "cancelled by us"}
# It is cancelled only if it cannot be finished.
BROUGHT_TO_AN_END = {**CANCELLED_BY_US, "verb": "retry"}

# What is a flow's own and not the fault's: ids, tokens, numbers.
OWN = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\b[a-z]+_[0-9a-f]{16,}\b|\d+", re.IGNORECASE)
ANSWERED = re.compile(r"\banswered (\d{3})\b(?:(?::|, but) *(.*))?", re.DOTALL)
TIMED_OUT = re.compile(r"\b\w*(?:Timeout|timed out)\b")
BROKEN = re.compile(r"\b(?:Connect|Read|Write|Close|Network|RemoteProtocol|LocalProtocol)Error\b")
# The words in an answer that was cut, so that it is no JSON any more.
WORDS_OF_A_PART = re.compile(r'"(?:reason|detail|message)"\s*:\s*"((?:[^"\\]|\\.)*)')
WORDS = ("reason", "detail", "message")


def phrase_command(command: type[Command] | str) -> str:
    """What a command asks for: `VoidPayment` -> "void the payment"; its wire name may be given, too."""
    return phrase_name(command.wire_name() if isinstance(command, type) else command)


@lru_cache(maxsize=1000)  # a page of many flows asks for the same few, thousands of times
def phrase_name(name: str) -> str:
    verb, _, what = snake_case(name.rpartition(".")[2]).partition("_")
    return f"{verb} the {what.replace('_', ' ')}" if what else verb


def name_caller(service: str) -> str:
    """Return what a service calls outside: "the payment provider"; without such, the service itself."""
    known = SERVICES.get(service)
    return (known and known.outside) or service


def describe_failure(failure: Mapping[str, Any], service: str, phrase: str) -> str:
    """Return why a step was given up, in words that are the same for all with the same fault.

    The status that a provider answered and its own words are kept; ids and other numbers are not.

    Args:
        failure: `code` and `reason`, as its participant announced them.
        service: the participant.
        phrase: what it was asked for: "void the payment".
    """
    code, reason = str(failure.get("code", "")), str(failure.get("reason", ""))
    asked = f"when asked to {phrase}"
    if code == LOST:
        mend = f"./manage.py {service} recover mends it"
        return f"{service} {CauseKind.LOST} ({phrase}): its database was set back; {mend}"
    if answered := ANSWERED.search(reason):
        status, words = answered[1], find_words(answered[2] or "")
        return f"{name_caller(service)} {CauseKind.ANSWERED} {status} {asked}" + (
            f": {words}" if words else ""
        )
    if TIMED_OUT.search(reason):
        return f"{name_caller(service)} {CauseKind.LATE} {asked}"
    if BROKEN.search(reason):
        return f"{CauseKind.BROKEN} {name_caller(service)} broke {asked}"
    words = find_words(reason) or code.replace("_", " ")
    return f"{service} {CauseKind.UNABLE} {phrase}: {words}"


def count_failure(
    before: Mapping[str, Any] | None, operation: str, reason: Mapping[str, Any], at: datetime
) -> dict[str, Any]:
    """Return what is kept of a step that was given up, with the number of all its tries.

    Args:
        before: what was kept so far; the tries of another operation do not count.
        reason: `code`, `reason` and perhaps `tries`, as the participant announced them.
    """
    counted = before.get("times", 1) if before and before.get("operation") == operation else 0
    told = {name: reason[name] for name in ("code", "reason") if name in reason}
    times = counted + (reason.get("tries") or 1)
    return {"operation": operation, **told, "times": times, "at": at.isoformat()}


def describe_silence(service: str, asked: str) -> str:
    """Return what stands in the way of a flow of which nothing is heard.

    Args:
        asked: what the service was asked: "to void the payment".
    """
    return f"{CauseKind.SILENT} {service}, asked {asked}"


def describe_late_answer(service: str, asked: str, answer: str) -> str:
    """Return what came when a flow was parked already, for want of it.

    Args:
        asked: as `describe_silence` has it.
        answer: in a few words: "done".
    """
    return f"{service} {CauseKind.ANSWERED_LATE}, asked {asked}: {answer}"


def tells_silence(line: str) -> bool:
    """Whether a parked flow waits for an answer, or got it since: its line changes with what is heard of it."""
    return line.startswith(CauseKind.SILENT) or CauseKind.ANSWERED_LATE in line


def describe_cause(cause: Mapping[str, Any], service: str, phrase: str) -> str:
    """Return why a flow is stopped: a refusal, used-up tries of `service`, or anything else that stopped it."""
    if service and cause.get("code") in GAVE_UP:
        return describe_failure(cause, service, phrase)
    return describe_refusal(cause)


def describe_refusal(cause: Mapping[str, Any]) -> str:
    """Return the words of a refusal, or of another cause of a stop; empty if it says no more than a step's name."""
    code, reason = str(cause.get("code", "")), str(cause.get("reason", ""))
    if code in WITHOUT_REASON:
        return CAUSES.get(code, "")
    return reason or CAUSES.get(code, code.replace("_", " "))


CAUSES = {
    "deadline_passed": "it did not end before its deadline",
    "dead_letter": "a message of it could not be carried out",
}


def find_words(text: str) -> str:
    """Return the words for people in what the other side sent: of its JSON, or the text itself; without ids."""
    text = text.strip()
    if text.startswith(("{", "[")):
        text = read_json_words(text)
    elif text.startswith("<"):
        text = re.sub(r"<[^>]*>?", " ", text)
    words = " ".join(OWN.sub("#", text.partition("{")[0]).split()).rstrip(":. ")
    return words if len(words) <= LONGEST_WORDS else words[: LONGEST_WORDS - 1] + "…"


def read_json_words(text: str) -> str:
    try:
        body = json.loads(text)
    except ValueError:
        part = WORDS_OF_A_PART.search(text)
        return part[1] if part else ""
    body = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(body, dict):
        return str(body) if isinstance(body, str) else ""
    return next((body[name] for name in WORDS if isinstance(body.get(name), str)), "")
