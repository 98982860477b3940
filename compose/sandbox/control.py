"""The control of the sandbox: tests and chaos runs plan faults here and read what was called."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from compose.sandbox.bodies import FaultQuery, LimitBody, read
from compose.sandbox.faults import Faults, Planned
from compose.sandbox.http import Answer, Request, Shop
from compose.sandbox.limits import CallLimit

BOOK_COUNTS = (
    ("authorizations", "SELECT COUNT(*) FROM authorizations"),
    ("captured", "SELECT COUNT(*) FROM authorizations WHERE state = 'captured'"),
    ("voided", "SELECT COUNT(*) FROM authorizations WHERE state = 'voided'"),
    ("refunds", "SELECT COUNT(*) FROM refunds"),
    ("shipments", "SELECT COUNT(*) FROM shipments"),
    ("cancelled", "SELECT COUNT(*) FROM shipments WHERE state = 'cancelled'"),
    ("dispatched", "SELECT COUNT(*) FROM shipments WHERE state = 'dispatched'"),
)


class Control:
    """The endpoints under /control and /healthz, and the counters they show."""

    def __init__(self, faults: Faults, limit: CallLimit) -> None:
        self._faults = faults
        self._limit = limit
        self._guard = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, name: str) -> None:
        """Add one to a counter."""
        with self._guard:
            self._counts[name] += 1

    def plan_fault(self, shop: Shop, request: Request) -> Answer:
        """POST /control/faults {path, kind, count, seconds}."""
        return Answer(201, _present(self._faults.plan(request.body)))

    def clear_faults(self, shop: Shop, request: Request) -> Answer:
        """DELETE /control/faults?path=: remove the faults under this path, or all, and end every wait."""
        self._faults.clear(read(request.query, FaultQuery, strict=False).path)
        return Answer(200, {"faults": [_present(planned) for planned in self._faults.planned()]})

    def forget_keys(self, shop: Shop, request: Request) -> Answer:
        """DELETE /control/keys: forget every idempotency key and its answer, as a provider does after some time."""
        forgotten = _count_rows(shop, "SELECT COUNT(*) FROM answers")
        shop.store.run("DELETE FROM answers")
        return Answer(200, {"forgotten": forgotten})

    def set_limit(self, shop: Shop, request: Request) -> Answer:
        """POST /control/limit {per_second, retry_after}: answer 429 to each call above so many in a second."""
        given = read(request.body, LimitBody)
        self._limit.set(given.per_second, given.retry_after)
        return Answer(201, {"per_second": given.per_second, "retry_after": given.retry_after})

    def end_limit(self, shop: Shop, request: Request) -> Answer:
        """DELETE /control/limit: take any number of calls again."""
        self._limit.set(0, 0.0)
        return Answer(200, {"per_second": 0})

    def stats(self, shop: Shop, request: Request) -> Answer:
        """GET /control/stats: the calls since the start, the sums of the books, the faults still to come."""
        with self._guard:
            calls = dict(sorted(self._counts.items()))
        books = {name: _count_rows(shop, sql) for name, sql in BOOK_COUNTS}
        return Answer(
            200, {"calls": calls, "books": books, "faults": [_present(p) for p in self._faults.planned()]}
        )

    def healthz(self, shop: Shop, request: Request) -> Answer:
        """GET /healthz: the store answers."""
        _count_rows(shop, "SELECT 1")
        return Answer(200, {"status": "ok"})


def _count_rows(shop: Shop, sql: str) -> int:
    row = shop.store.row(sql)
    assert row is not None, "a COUNT returns a row"
    return int(row[0])


def _present(planned: Planned) -> dict[str, Any]:
    fault = planned.fault
    return {"path": planned.path, "kind": fault.kind, "seconds": fault.seconds, "count": planned.count}
