"""The verb that fits a flow best: the page shows it first. Pure."""

from __future__ import annotations

from celery_config.saga.flow_facts import FlowFacts, is_past_pivot
from celery_config.saga.states import Status


def recommend_verb(flow: FlowFacts) -> str:
    """Return the name of the verb; empty: nobody has to do anything about the flow."""
    if flow.status is not Status.PARKED:
        return ""
    return "resume" if is_past_pivot(flow) and not flow.choreographed else "retry"
