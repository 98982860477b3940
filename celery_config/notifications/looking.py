"""Looks: every source of conditions is asked on its own; one that fails becomes a condition, and stops no other."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from django.conf import settings
from django.utils.module_loading import import_string

from celery_config.common.conditions import Condition, ConditionKind
from celery_config.common.services import ORCHESTRATOR
from celery_config.db import limits
from celery_config.messaging import database_gate
from celery_config.web.elsewhere import admin_url

log = structlog.get_logger(__name__)
BLIND, NOTIFIER = "blind", "notifier"
"""Sources beside those of the setting CONDITIONS: what cannot be looked at, and whether somebody looks at all."""
INCIDENTS_PAGE = "notifications/incident/"
ANSWER_SECONDS = 5.0
"""How long the database may take for one answer; the services have a limit of their own."""
BLIND_LOOKS = 3
"""So many looks fail in a row before somebody is told."""


def list_sources() -> list[str]:
    return [*settings.CONDITIONS, BLIND, NOTIFIER]


def look(look_seconds: float) -> dict[str, Sequence[Condition]]:
    """Return what each source finds; one that fails is missing, and is a condition itself.

    Args:
        look_seconds: how often this is called.
    """
    found: dict[str, Sequence[Condition]] = {NOTIFIER: []}
    blind = []
    for name, path in settings.CONDITIONS.items():
        try:
            with limits.answer_within(ANSWER_SECONDS):
                found[name] = [*import_string(path)()]
        except Exception as error:  # whatever it is, the others are looked at
            database_gate.drop_if_unusable()
            log.exception("conditions cannot be looked at", source=name)
            blind.append(make_blind(name, error, look_seconds))
    return {**found, BLIND: blind}


def make_blind(source: str, error: Exception, look_seconds: float) -> Condition:
    """Return the condition that a source cannot be looked at. An error may quote a row: its text stays in the log."""
    return Condition(
        kind=ConditionKind.BLIND,
        cause=source,
        sentence=f"The notifier cannot look at {source} ({type(error).__name__}), so nothing new is told of it;"
        " its log says why.",
        link=admin_url(ORCHESTRATOR, INCIDENTS_PAGE),
        patience=BLIND_LOOKS * look_seconds,
    )
