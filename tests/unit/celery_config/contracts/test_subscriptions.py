"""What the services' `subscriptions.py` declare."""

from __future__ import annotations

import importlib

from celery_config.common.services import PACKAGES
from celery_config.contracts.subscriptions import EventSubscription

# Dotted paths of functions that subscribe with `once`, as `InboxEntry.handler` stores them in every database.
STORED: set[str] = set()


def test_a_function_that_subscribes_with_once_keeps_its_stored_name() -> None:
    """Rule 21 (events): under another dotted path the inbox would not recognise the events that it has handled."""
    modules = [importlib.import_module(f"{package}.subscriptions") for package in PACKAGES]
    declared = [each for module in modules for each in module.SUBSCRIPTIONS]
    assert {each.call for each in declared if isinstance(each, EventSubscription) and each.once} == STORED
