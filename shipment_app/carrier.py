"""The carrier as the steps see it: one a process, its answers in the words of the protocol."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from celery_config.errors import Refused, Unknown
from shipment_app import carriers
from shipment_app.carriers import Carrier
from shipment_app.domain import ShipmentState, ended_as_wanted
from shipment_app.errors import CarrierDisagrees


@functools.cache
def carrier() -> Carrier:
    """The carrier that the settings name; it keeps its connections and is shared by all threads."""
    return carriers.carrier_from_settings(settings, seconds=settings.TIMES.call)


@contextmanager
def answers() -> Iterator[None]:
    """Turn the carrier's CarrierRefused into Refused and its CarrierUnknown into Unknown.

    CarrierFailed stays: our side is wrong, which is no business outcome.
    """
    try:
        yield
    except carriers.CarrierRefused as refused:
        raise Refused(refused.code, refused.reason) from refused
    except carriers.CarrierUnknown as unknown:
        raise Unknown(unknown.reason) from unknown


@contextmanager
def ending(wanted: ShipmentState) -> Iterator[None]:
    """The same for an end that may not be refused: "already" so is done, anything else an error.

    Raises:
        CarrierDisagrees: it has ended otherwise.
    """
    try:
        with answers():
            yield
    except Refused as refused:
        if not ended_as_wanted(refused.code, wanted):
            raise CarrierDisagrees(f"to be {wanted}, but the carrier says {refused}") from refused
