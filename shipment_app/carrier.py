"""The carrier as the steps see it: one a process."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from shipment_app import carriers
from shipment_app.carriers import Carrier, CarrierRefused
from shipment_app.domain import ShipmentState, ended_as_wanted
from shipment_app.errors import CarrierDisagrees


@functools.cache
def carrier() -> Carrier:
    """The carrier that the settings name; it keeps its connections and is shared by all threads."""
    return carriers.carrier_from_settings(settings, seconds=settings.TIMES.call)


@contextmanager
def ending(wanted: ShipmentState) -> Iterator[None]:
    """Around an end that may not be refused: "already" so is done.

    Raises:
        CarrierDisagrees: it has ended otherwise.
    """
    try:
        yield
    except CarrierRefused as refused:
        if not ended_as_wanted(refused.code, wanted):
            raise CarrierDisagrees(f"to be {wanted}, but the carrier says {refused}") from refused
