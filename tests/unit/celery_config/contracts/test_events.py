"""What events are called, and who gets them."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from celery_config.broker.topology import Topology
from celery_config.common.services import ORCHESTRATOR, SUBSCRIPTIONS
from celery_config.contracts.base import Event
from tests.unit.celery_config.contracts.test_contracts import ALL, COMMANDS

PATTERNS = Topology.load(SUBSCRIPTIONS).patterns
EVENTS = {name: kind for name, kind in ALL.items() if issubclass(kind, Event)}


def topic_matches(pattern: str, key: str) -> bool:
    """RabbitMQ's `*` is one word; these patterns have no `#`."""
    return len(pattern.split(".")) == len(key.split(".")) and fnmatchcase(key, pattern)


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_a_fact_in_the_past_tense(name: str) -> None:
    assert name.endswith(("ed", "forgotten", "withdrawn", "gave_up")), f"{name} is not a fact"


@pytest.mark.parametrize("command", COMMANDS)
def test_everything_a_participant_does_reaches_the_saga_log(command: str) -> None:
    """Rule 16 (the saga log): its reply and its refusal are routed to the orchestrator's events queue."""
    kind = COMMANDS[command]
    for event in filter(None, (kind.done, kind.refused)):
        routed = [p for p in PATTERNS[ORCHESTRATOR] if topic_matches(p, event.wire_name())]
        assert routed, f"nobody carries {event.wire_name()} to the saga log"


def test_a_subscription_names_services_that_exist() -> None:
    """Rule 21 (events): a mistyped pattern would silently get nothing."""
    for patterns in PATTERNS.values():
        for pattern in patterns:
            assert any(topic_matches(pattern, name) for name in EVENTS), pattern
