"""The situations that some cases need: an order is silent, overdue, parked, cancelled too late, or answered late."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx

from compose.local.stack import Stack
from tests.chaos.cases import Case, Execution, Situation
from tests.chaos.client import CHOREOGRAPHED, ORCHESTRATED, Client
from tests.chaos.quiet import POLL_SECONDS
from tests.chaos.system import connect, execute, fetch_rows, stop_process

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

# More than one, since several cases wait for them, and long enough for a process that dies on the way to come back.
LOST_AT_ONCE, LOST_SECONDS = 3, 25.0
AUTHORIZE = "payment.authorize_payment"
AUTHORIZED = f"""
    SELECT saga_id::text FROM saga_sagastep JOIN saga_sagainstance i ON i.id = saga_id
    WHERE subject = %(order)s AND command = '{AUTHORIZE}' AND logged = 'done'
    UNION ALL SELECT choreography_id::text FROM order_seenevent
    WHERE choreography_id::text = %(order)s AND kind = 'payment.payment_received'
"""
PARKED_SAGA = "SELECT id::text FROM saga_sagainstance WHERE subject = %(order)s AND status = 'parked'"
IS_PARKED = """
    SELECT 1 FROM saga_sagainstance WHERE subject = %(order)s AND status = 'parked'
    UNION ALL SELECT 1 FROM order_choreography WHERE order_id::text = %(order)s AND status = 'parked'
"""
ROW = f"SELECT key FROM messaging_barrierrow WHERE saga::text = %s AND command = '{AUTHORIZE}'"
MOVE = "UPDATE messaging_barrierrow SET key = %s WHERE key = %s"


class SituationMaker:
    """Brings orders into one situation."""

    def __init__(self, stack: Stack, client: Client, execution: Execution, situation: Situation) -> None:
        self.stack = stack
        self.client = client
        self.execution = execution
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
            case Situation.ROW_LOST:
                self.lose_rows()

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

    def lose_rows(self) -> None:
        """Cancel orders whose authorization is known and has no row any more, as after a restore.

        The rows come back when the orders are parked, as `recover` writes them; then the orders are retried.
        """
        stopped = f"inventory-{'web' if self.execution is Execution.OVER_REST else 'worker'}"
        with ThreadPoolExecutor(LOST_AT_ONCE) as pool, ExitStack() as hidden:
            with stop_process(self.stack, stopped):
                orders = list(pool.map(lambda _: self.place_and_hide(hidden), range(LOST_AT_ONCE)))
            for _ in pool.map(self.wait_until_parked, orders):
                pass
        for order in orders:
            self.retry_if_parked(order)

    def place_and_hide(self, hidden: ExitStack) -> str:
        by_events = self.execution is Execution.BY_EVENTS
        order = self.client.place_order("fine", CHOREOGRAPHED if by_events else ORCHESTRATED)
        self.wait_for(lambda: bool(self.fetch(AUTHORIZED, order)))
        for (saga,) in self.fetch(AUTHORIZED, order):
            hidden.enter_context(self.hide_row(saga))
        self.client.cancel_order(order)
        return order

    @contextmanager
    def hide_row(self, saga: str) -> Iterator[None]:
        """Let payment's barrier have no row of the authorization for the block."""
        ((key,),) = fetch_rows(self.stack, "payment", ROW, saga)
        elsewhere = uuid4()
        self.move_row(key, elsewhere)
        try:
            yield
        finally:
            self.move_row(elsewhere, key)

    def move_row(self, key: UUID, to: UUID) -> None:
        with connect(self.stack, "payment") as connection:
            connection.execute(MOVE, (to, key))

    def fetch(self, query: str, order: str) -> list[tuple[Any, ...]]:
        with connect(self.stack, "order") as connection:
            return connection.execute(query, {"order": order}).fetchall()

    def wait_until_parked(self, order: str) -> None:
        self.wait_for(lambda: bool(self.fetch(IS_PARKED, order)), LOST_SECONDS)

    def retry_if_parked(self, order: str) -> None:
        if self.execution is Execution.BY_EVENTS:
            self.client.retry_order(order)
        for (saga,) in self.fetch(PARKED_SAGA, order):
            self.client.retry_saga(saga)

    def delay_answers(self) -> None:
        """Let provider and carrier answer the next calls late; they tell the outcomes by webhook at once."""
        for path in ("/provider/authorizations", "/carrier/shipments"):
            fault = {"path": path, "kind": "timeout", "count": LATE_ANSWERS, "seconds": LATE_SECONDS}
            httpx.post(
                f"{self.stack.sandbox_url}/control/faults", json=fault, trust_env=False
            ).raise_for_status()

    def wait_for(self, condition: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
        """Wait, but not so long that the broker misses a stopped process; another one may have died as planned."""
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
