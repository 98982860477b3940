"""The verbs for people: their names, and the one that fits a flow best, which its page shows first. Pure."""

from __future__ import annotations

from celery_config.contracts.base import LOST
from celery_config.saga.flow_facts import FlowFacts, find_failed, is_past_pivot
from celery_config.saga.states import Status

# The names of the verbs on the pages; in the API they are called as their keys.
TITLES = {"retry": "Bring to an end", "compensate": "Cancel and undo", "resume": "Finish"}


def recommend_verb(flow: FlowFacts) -> str:
    """Return the name of the verb; empty: the flow needs no verb, or its service is to be mended first."""
    failed = find_failed(flow)
    if flow.status is not Status.PARKED or (failed and (failed.failure or {}).get("code") == LOST):
        return ""
    return "resume" if is_past_pivot(flow.steps) and not flow.choreographed else "retry"
