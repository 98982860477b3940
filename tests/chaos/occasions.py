"""What an order must meet before somebody comes by at some points: silence, age, hopelessness, a cancel too late."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from compose.local.stack import Stack
from tests.chaos.cases import Carried, Case, Occasion
from tests.chaos.client import CHOREOGRAPHED, Client
from tests.chaos.quiet import LOOK_SECONDS, ask, run
from tests.chaos.victim import standing_still

# Shorter than a broker waits for the heartbeat of whoever stands still.
PATIENCE = 3.0
TABLES = {Carried.OVER_BROKER: "saga_sagainstance", Carried.BY_EVENTS: "order_choreography"}
DUE = "due_at = clock.now - interval '1 second' FROM saga_sagaclock clock WHERE"
SILENT = f"UPDATE {{table}} SET {DUE} status IN ('running', 'stopping', 'forward')"
TOO_OLD = f"UPDATE {{table}} SET deadline_at = clock.now, {DUE} status = 'running'"
# Longer than any stop is driven, at the scale of these runs.
HOPELESS = f"""
    UPDATE order_choreography SET since = clock.now - interval '1 day', {DUE}
    status = 'stopping' AND order_id = '{{order}}'
"""
PARKED = "SELECT 1 FROM order_choreography WHERE order_id::text = %s AND status = 'parked'"
CAPTURED = """
    SELECT 1 FROM messaging_barrierrow
    WHERE saga::text = %s AND command = 'payment.capture_payment' AND action = 'done'
"""


class Occasions:
    """Makes one kind of them arise."""

    def __init__(self, stack: Stack, client: Client, carried: Carried, occasion: Occasion) -> None:
        self.stack = stack
        self.client = client
        self.table = TABLES.get(carried, "")
        self.occasion = occasion

    def arise(self, wanted: Sequence[Case]) -> None:
        match self.occasion:
            case Occasion.SILENT:
                run(self.stack, SILENT.format(table=self.table))
            case Occasion.TOO_OLD:
                run(self.stack, TOO_OLD.format(table=self.table))
            case Occasion.HOPELESS:
                self.park(retried=any(case.operation == "POST retry" for case in wanted))
            case Occasion.TOO_LATE:
                self.cancel_too_late()

    def park(self, *, retried: bool) -> None:
        """An order that nobody undoes is given up, and perhaps driven again by a human; then it is undone."""
        with standing_still(self.stack, "payment-worker"):
            order = self.client.place("fine", CHOREOGRAPHED)
            self.client.cancel(order)
            run(self.stack, HOPELESS.format(order=order))
            self.wait_for(lambda: bool(ask(self.stack, "order", PARKED, order)))
            if retried:
                self.client.retry(order)

    def cancel_too_late(self) -> None:
        """The money is taken before the order service hears of it."""
        with standing_still(self.stack, "order-worker"):
            order = self.client.place("fine", CHOREOGRAPHED)
            self.wait_for(lambda: bool(ask(self.stack, "payment", CAPTURED, order)))
            self.client.cancel(order)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """For as long as nobody notices who stands still; who has died by then was to die."""
        end = time.monotonic() + PATIENCE
        while not condition() and time.monotonic() < end:
            time.sleep(LOOK_SECONDS)
