"""The relay's duty: it proves orders in a thread of its own, so that a slow service delays no publishing."""

from __future__ import annotations

from django.conf import settings

from celery_config.messaging.outbox.relay import BackgroundDuty, Duty
from order_project.proof.proving import PROVE_SECONDS, Prover


def proof_duties() -> list[Duty]:
    """The duty, unless PROVE_ORDERS switches it off; what ends meanwhile is proved once it is on again."""
    if not settings.PROVE_ORDERS:
        return []
    duty = BackgroundDuty("proof", Prover().run)
    return [Duty(duty.name, duty.start, settings.TIMES.period(PROVE_SECONDS))]
