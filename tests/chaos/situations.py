"""The situations that some cases need: an order is silent, overdue, parked, cancelled too late, or answered late."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import httpx

from compose.local.stack import Stack
from tests.chaos.cases import Case, Execution, Situation
from tests.chaos.client import CHOREOGRAPHED, Client
from tests.chaos.quiet import POLL_SECONDS
from tests.chaos.system import execute, fetch_rows, stop_process

# Shorter than the time in which the broker waits for the heartbeat of a stopped process.
WAIT_SECONDS = 3.0
# Late, and still within the limit of a call, which is a second at the time scale of these runs.
LATE_ANSWERS, LATE_SECONDS = 12, 0.3
TABLES = {Execution.OVER_BROKER: "saga_sagainstance", Execution.BY_EVENTS: "order_choreography"}
DUE = "due_at = clock.now - interval '1 second' FROM saga_sagaclock clock WHERE"
SILENT = f"UPDATE {{table}} SET {DUE} status IN ('running', 'stopping', 'forward')"
OVERDUE = f"UPDATE {{table}} SET deadline_at = clock.now, {DUE} status = 'running'"
# Longer than any cancel is driven at the time scale of these runs.
STALLED = f"""
    UPDATE order_choreography SET since = clock.now - interval '1 day', {DUE}
    status = 'stopping' AND order_id = '{{order}}'
"""
PARKED = "SELECT 1 FROM order_choreography WHERE order_id::text = %s AND status = 'parked'"
CAPTURED = """
    SELECT 1 FROM messaging_barrierrow
    WHERE saga::text = %s AND command = 'payment.capture_payment' AND action = 'done'
"""


class SituationMaker:
    """Brings orders into one situation."""

    def __init__(self, stack: Stack, client: Client, execution: Execution, situation: Situation) -> None:
        self.stack = stack
        self.client = client
        self.table = TABLES.get(execution, "")
        self.situation = situation

    def arrange(self, wanted: Sequence[Case]) -> None:
        match self.situation:
            case Situation.SILENT:
                execute(self.stack, "order", SILENT.format(table=self.table))
            case Situation.OVERDUE:
                execute(self.stack, "order", OVERDUE.format(table=self.table))
            case Situation.PARKED:
                self.park_order(retried=any(case.operation == "POST retry" for case in wanted))
            case Situation.TOO_LATE:
                self.cancel_too_late()
            case Situation.WEBHOOK_FIRST:
                self.delay_answers()

    def park_order(self, *, retried: bool) -> None:
        """Let an order be parked, because its undo is not answered, and perhaps retry it; then it is undone."""
        with stop_process(self.stack, "payment-worker"):
            order = self.client.place_order("fine", CHOREOGRAPHED)
            self.client.cancel_order(order)
            execute(self.stack, "order", STALLED.format(order=order))
            self.wait_for(lambda: bool(fetch_rows(self.stack, "order", PARKED, order)))
            if retried:
                self.client.retry_order(order)

    def cancel_too_late(self) -> None:
        """Cancel an order whose payment is captured before the order service knows it."""
        with stop_process(self.stack, "order-worker"):
            order = self.client.place_order("fine", CHOREOGRAPHED)
            self.wait_for(lambda: bool(fetch_rows(self.stack, "payment", CAPTURED, order)))
            self.client.cancel_order(order)

    def delay_answers(self) -> None:
        """Let provider and carrier answer the next calls late; they tell the outcomes by webhook at once."""
        for path in ("/provider/authorizations", "/carrier/shipments"):
            fault = {"path": path, "kind": "timeout", "count": LATE_ANSWERS, "seconds": LATE_SECONDS}
            httpx.post(
                f"{self.stack.sandbox_url}/control/faults", json=fault, trust_env=False
            ).raise_for_status()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait, but not so long that the broker misses the stopped process; another one may have died as planned."""
        end = time.monotonic() + WAIT_SECONDS
        while not condition() and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
