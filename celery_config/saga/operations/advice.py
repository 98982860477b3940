"""Advice for people: what is to be mended for each cause, and the verb that fits a flow best. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from celery_config.contracts.base import LOST
from celery_config.saga.causes import TOO_LARGE, CauseKind
from celery_config.saga.flow_facts import FlowFacts, find_failed, is_failing, is_past_pivot
from celery_config.saga.states import OPEN, Status

MENDS: Mapping[str, str] = {
    TOO_LARGE: "Nothing is to be mended if the money was not taken: what undoes the order is small enough to be sent.",
    CauseKind.LATE: "Find out why the other side is slow, and wait until it answers in time.",
    CauseKind.LOST: "Pause new orders, and recover the service's database before any verb: the line names the command,"
    " and the page Restore a database of the docs has the steps.",
    CauseKind.ANSWERED_LATE: "Nothing is to be mended, but what is left is not sent by itself: choose below.",
    CauseKind.SILENT: "See on the board whether the service runs and its messages move, and start what is down.",
    CauseKind.END_UNHEARD: "Every service did its part: see whether the order service's worker runs.",
    CauseKind.UNDRIVABLE: "The order service's own log names the error: mend it there, and deploy it.",
    CauseKind.UNKNOWN_VERSION: "Deploy an order service that knows its name and version.",
    CauseKind.CONTRADICTED: "Compare the books of payment with the provider's: no verb mends it.",
    CauseKind.RECOVERED: "A database was restored: compare what the services say below, then choose.",
    CauseKind.BROKEN: "Mend the network, or the address by which the other side is called.",
    CauseKind.ANSWERED: "Ask the other side why it fails, or correct the key or address with which it is called.",
    CauseKind.UNABLE: "The service's own log names the error: mend its data or its code.",
}
"""What a person mends, by the words of a cause; of several that a line has, the first counts."""


def advise(line: str) -> str:
    """Return in one sentence what is to be mended for a cause; empty: the line is of an older version."""
    return next((advice for words, advice in MENDS.items() if words in line), "")


def recommend_verb(flow: FlowFacts) -> str:
    """Return the name of the verb; empty: the flow needs no verb, or its service is to be mended first."""
    if flow.status in OPEN:
        return "retry" if is_failing(flow) else ""
    failed = find_failed(flow)
    if flow.status is not Status.PARKED or (failed and (failed.failure or {}).get("code") == LOST):
        return ""
    return "resume" if is_past_pivot(flow.steps) and not flow.choreographed else "retry"
