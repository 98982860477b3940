"""Plans faults and counts calls, for tests, chaos runs and whoever watches them."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from compose.sandbox.faults import Faults, Planned
from compose.sandbox.http import Answer, Request, Shop

AMOUNTS = (
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

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
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
        """DELETE /control/faults: forget all faults and end every wait under way."""
        self._faults.clear()
        return Answer(200, {"faults": []})

    def stats(self, shop: Shop, request: Request) -> Answer:
        """GET /control/stats: calls since the start, what the books hold, the faults still to come."""
        with self._guard:
            calls = dict(sorted(self._counts.items()))
        books = {name: _number(shop, sql) for name, sql in AMOUNTS}
        return Answer(
            200, {"calls": calls, "books": books, "faults": [_present(p) for p in self._faults.planned()]}
        )

    def healthz(self, shop: Shop, request: Request) -> Answer:
        """GET /healthz: the store answers."""
        _number(shop, "SELECT 1")
        return Answer(200, {"status": "ok"})


def _number(shop: Shop, sql: str) -> int:
    row = shop.store.row(sql)
    assert row is not None, "a COUNT returns a row"
    return int(row[0])


def _present(planned: Planned) -> dict[str, Any]:
    fault = planned.fault
    return {"path": planned.path, "kind": fault.kind, "seconds": fault.seconds, "count": planned.count}
