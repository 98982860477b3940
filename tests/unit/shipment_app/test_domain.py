"""What a shipment may do."""

from __future__ import annotations

from uuid import uuid4

import pytest

from shipment_app.domain import ShipmentState, is_ended_as_wanted, shipment_id


@pytest.mark.parametrize(
    ("code", "wanted", "so"),
    [
        ("already_cancelled", ShipmentState.CANCELLED, True),
        ("already_dispatched", ShipmentState.DISPATCHED, True),
        ("already_dispatched", ShipmentState.CANCELLED, False),
        ("already_cancelled", ShipmentState.DISPATCHED, False),
        ("strike", ShipmentState.DISPATCHED, False),
    ],
)
def test_already_so_is_done_and_nothing_else_is(code: str, wanted: ShipmentState, so: bool) -> None:
    assert is_ended_as_wanted(code, wanted) is so


def test_the_id_follows_from_the_order() -> None:
    order = uuid4()
    assert shipment_id(order) == shipment_id(order) != shipment_id(uuid4())
