"""Acknowledgement: somebody says that they look, so that the others know, and nothing is repeated."""

from __future__ import annotations

from uuid import UUID

from celery_config.common.visible_text import is_visible
from celery_config.db.functions import Now
from celery_config.errors import OperatorRefused
from celery_config.notifications.models import Incident
from celery_config.notifications.states import CONDITIONS, IncidentState, find_state


def acknowledge(incident: UUID, *, by: str, note: str) -> Incident:
    """Acknowledge an incident that stands; it is not repeated any more, and its end is told.

    Raises:
        OperatorRefused: it is over, or somebody has acknowledged it, or the note is empty.
        Incident.DoesNotExist: there is no such incident.
    """
    if not is_visible(note):
        raise OperatorRefused("say what you do about it: it is kept with your name")
    open_ones = Incident.objects.filter(CONDITIONS[IncidentState.OPEN], pk=incident)
    changed = open_ones.update(acknowledged_at=Now(), acknowledged_by=by, note=note)
    found = Incident.objects.get(pk=incident)
    if not changed:
        who = f" by {found.acknowledged_by}" if found.over_at is None else ""
        raise OperatorRefused(f"the incident is {find_state(found)}{who}")
    return found
