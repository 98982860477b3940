"""The loads that are measured, and the sides that carry each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tests.bench.measure import Run, take_median

OURS, BARE, FLOOR = "order saga", "bare chain", "floor"
DBOS, RESTATE = "DBOS", "Restate"


@dataclass(frozen=True)
class Load:
    """One kind of order.

    Args:
        sides: which sides carry it: the names that are shown, and the names in `sides.SIDES`.
        share: how many of the wanted orders a run has.
        rates: orders a second of the runs besides those at full speed.
        refused_share: the share of refused orders in a further run of the order saga; 0 is no such run.
    """

    title: str
    sides: Mapping[str, str]
    share: float
    rates: tuple[float, ...]
    refused_share: float = 0.0


THREE_STEPS = Load(
    "An order, a payment, a stock row and a shipment in four databases",
    {OURS: "three-steps", BARE: "three-steps bare", FLOOR: "three-steps floor"},
    share=1.0,
    rates=(5.0, 100.0),
    refused_share=0.1,
)
WITH_PEERS = replace(
    THREE_STEPS,
    sides={**THREE_STEPS.sides, DBOS: "three-steps DBOS", RESTATE: "three-steps Restate"},
)
PLACE_ORDER = Load(
    "place-order: seven links, four calls to the sandbox",
    {OURS: "place-order", BARE: "place-order bare"},
    share=0.3,
    rates=(5.0,),
)
IN_PROCESS = replace(
    PLACE_ORDER, title="place-order: seven links, gateway and carrier in the process", share=0.6
)


@dataclass
class Results:
    """The runs of one side of one load."""

    full_speed: list[Run] = field(default_factory=list)
    refused: list[Run] = field(default_factory=list)
    at_rate: dict[float, Run] = field(default_factory=dict)

    @property
    def median(self) -> Run:
        return take_median(self.full_speed)
