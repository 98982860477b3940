"""What the services' `subscriptions.py` declare."""

from __future__ import annotations

import importlib
import json

import pytest

from celery_config.broker.topology import Topology
from celery_config.common.services import ORCHESTRATOR, PACKAGES, PARTICIPANTS, SUBSCRIPTIONS
from celery_config.contracts import subscriptions
from celery_config.contracts.base import command_hash, decode
from celery_config.contracts.subscriptions import EventSubscription, ReactionRule, subscribe_saga_log
from tests.unit.celery_config.contracts.test_contracts import GOLDEN, golden

# Dotted paths of functions that subscribe with `once`, as `InboxEntry.handler` stores them in every database.
STORED: set[str] = set()


def test_a_function_that_subscribes_with_once_keeps_its_stored_name() -> None:
    """Rule 21 (events): under another dotted path the inbox would not recognise the events that it has handled."""
    assert {each.call for each in declared() if isinstance(each, EventSubscription) and each.once} == STORED


def test_what_a_released_event_asks_for_is_the_same_command_in_every_release() -> None:
    """Rule 24 (versions): an order under way is announced again; its barrier rows hold the hashes of then.

    A new reaction gets a new entry. An entry is never changed: a reaction that makes another command needs a new name.
    """
    made = {
        f"{event.wire_name()}: {rule.command.wire_name()}": command_hash(
            decode(rule.command, golden(event.wire_name()))
        )
        for rule in declared()
        if isinstance(rule, ReactionRule)
        for event in rule.to
    }
    assert made == json.loads((GOLDEN / "hashes" / "reactions.json").read_text())


def declared() -> list[EventSubscription | ReactionRule]:
    modules = [importlib.import_module(f"{package}.subscriptions") for package in PACKAGES]
    return [each for module in modules for each in module.SUBSCRIPTIONS]


def test_the_saga_log_hears_every_participant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its queue is bound to what it subscribes to, so a new participant is known in both places or in none."""
    bound = Topology.load(SUBSCRIPTIONS).patterns[ORCHESTRATOR]
    assert {*subscribe_saga_log().patterns} <= {*bound}
    monkeypatch.setattr(subscriptions, "PARTICIPANTS", (*PARTICIPANTS, "hotel"))
    assert "hotel.*" in subscribe_saga_log().patterns
