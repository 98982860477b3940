"""The handlers of the shipment service."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from django.db import connection

from celery_config.participant.handlers import handles
from tests.bench.three.contracts import CallParcelBack, ParcelSent, SendParcel
from tests.bench.three.sql import CALL_PARCELS_BACK, SEND_PARCELS


@handles(SendParcel)
def send_parcel(commands: Sequence[SendParcel]) -> list[ParcelSent]:
    sent = [ParcelSent(shipment=uuid4()) for _ in commands]
    with connection.cursor() as cursor:
        cursor.execute(
            SEND_PARCELS,
            [[s.shipment for s in sent], [c.order for c in commands], [c.address for c in commands]],
        )
    return sent


@handles(CallParcelBack)
def call_parcel_back(commands: Sequence[CallParcelBack]) -> list[None]:
    with connection.cursor() as cursor:
        cursor.execute(CALL_PARCELS_BACK, [[command.order for command in commands]])
    return [None] * len(commands)
