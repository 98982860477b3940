"""Each participant reads what is held from the orchestrator: within seconds, and also after it was away."""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec
import structlog
from django.conf import settings

from celery_config.common.services import ORCHESTRATOR
from celery_config.http.service_client import ServiceCallError, ServiceClient, read_answer
from celery_config.messaging.holds.hold_list import Listing, keep_listing, read_row
from celery_config.messaging.holds.releasing import release_messages, select_held_messages
from celery_config.messaging.outbox.relay import BackgroundDuty, Duty

log = structlog.get_logger(__name__)
READ_SECONDS, RELEASE_SECONDS = 3.0, 1.0
ASK_SECONDS = 5.0
ADDRESS = "/api/holds/known/"


class HoldReader:
    """Reads the orchestrator's list; what cannot be read stays as it was, and is logged once."""

    def __init__(self) -> None:
        self.is_silent = False

    def run(self) -> None:
        try:
            self.read()
        except (ServiceCallError, msgspec.ValidationError) as error:
            if not self.is_silent:
                log.info("what is held is not known; what was known counts", error=str(error))
            self.is_silent = True
        else:
            self.is_silent = False

    def read(self) -> None:
        """
        Raises:
            ServiceCallError, msgspec.ValidationError: the orchestrator does not answer, or with something else.
        """
        known = read_row()
        asked = urlencode({"epoch": known.epoch, "version": known.version})
        client = ServiceClient(ORCHESTRATOR, seconds=ASK_SECONDS)
        listing = read_answer(ORCHESTRATOR, Listing, client.get(f"{ADDRESS}?{asked}"))
        if keep_listing(listing):
            log.info("what is held changed", version=listing.version, holds=len(listing.holds or ()))


def hold_duties() -> list[Duty]:
    """The duties of every relay: a participant reads what is held; each lets go of what is held no more."""
    release_seconds = settings.TIMES.period(RELEASE_SECONDS)
    duties = [Duty("release of held messages", release_messages, release_seconds, needs=select_held_messages)]
    if settings.SERVICE != ORCHESTRATOR:
        duties.append(
            Duty(
                "holds", BackgroundDuty("holds", HoldReader().run).start, settings.TIMES.period(READ_SECONDS)
            )
        )
    return duties
