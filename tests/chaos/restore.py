"""One service's database comes back from a backup while orders are under way; then the documented procedure.

The procedure is docs/how-to/restore-a-database.md. What it lists for a human may be a finding of the audit afterwards.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psycopg

from compose.local.roles import list_roles
from compose.local.stack import Stack
from tests.backup import Backup
from tests.chaos.client import Client
from tests.chaos.load import Load
from tests.chaos.quiet import POLL_SECONDS, count_in_flight, find_open, run_command
from tests.chaos.restarter import Restarter
from tests.chaos.system import fetch_rows

WHY = "chaos"
SETTLE_SECONDS = 90.0
# Customers repeat their orders while these are paused, which is longer than any other fault lasts.
PATIENCE_SECONDS = 300.0
WRITTEN, FOR_A_HUMAN = "written", "for a human"
# A retry is the documented answer to these, and to no other reason for which an order is parked.
PARKED = """
    SELECT '', id::text FROM saga_sagainstance WHERE status = 'parked' AND fingerprint ~ 'step_lost|recovered'
    UNION ALL SELECT order_id::text, '' FROM order_choreography
    WHERE status = 'parked' AND fingerprint ~ 'step_lost|recovered'
"""
UNKNOWN = """
    SELECT placed FROM unnest(%s::text[]) AS placed LEFT JOIN order_order o ON o.id::text = placed WHERE o.id IS NULL
"""
# What a participant has of an order.
EFFECTS = {
    "payment": 'SELECT 1 FROM payment_payment WHERE "order"::text = %s',
    "inventory": 'SELECT 1 FROM inventory_reservation WHERE "order"::text = %s',
    "shipment": 'SELECT 1 FROM shipment_shipment WHERE "order"::text = %s',
}


@dataclass
class Restored:
    """What happened.

    Args:
        in_flight: orders that were under way when the service died.
        written: rows of `recover` that it wrote.
        questions: its rows for a human.
        retried: orders and sagas that were parked because of the restore.
        unknown: orders that were accepted and that only their clients know.
    """

    service: str
    in_flight: int = 0
    written: int = 0
    questions: list[dict[str, str]] = field(default_factory=list)
    retried: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        clients = f", {len(self.unknown)} orders known to their clients alone" if self.unknown else ""
        return (
            f"{self.service}'s database restored with {self.in_flight} orders under way: {self.written} written,"
            f" {len(self.questions)} for a human, {len(self.retried)} parked and retried{clients}"
        )

    def is_for_a_human(self, finding: str) -> bool:
        """Whether a finding of the audit is about an order that `recover` has listed for a human."""
        return any(row["of"] and finding.startswith(row["of"]) for row in self.questions)


def restore_database(
    stack: Stack, client: Client, load: Load, restarter: Restarter, service: str
) -> Restored:
    """Set a service's database back while `load` is placed, and follow the procedure."""
    seen = Restored(service)
    client.clear_seconds = PATIENCE_SECONDS
    with ThreadPoolExecutor(1) as pool:
        placing = pool.submit(load.place_all)
        wait_until_placed(load, placing, 1 / 3)
        backup = Backup(stack, service, stack.var / f"{service}.dump")
        backup.take()
        wait_until_placed(load, placing, 2 / 3)
        client.pause_orders()
        with restarter.leave_alone(name_processes(service)):
            stop_service(stack, service)
            seen.in_flight = count_in_flight(stack)
            backup.restore()
            follow_procedure(stack, seen)
        client.end_pause()
        placing.result()
    settle_parked(stack, client, seen)
    seen.unknown = [order for (order,) in fetch_rows(stack, "order", UNKNOWN, load.placed)]
    seen.violations += find_effects(stack, seen)
    return seen


def wait_until_placed(load: Load, placing: Future[None], share: float) -> None:
    while len(load.placed) < share * load.orders and not placing.done():
        time.sleep(POLL_SECONDS / 5)


def name_processes(service: str) -> list[str]:
    return [f"{service}-{role}" for role in list_roles(service)]


def stop_service(stack: Stack, service: str) -> None:
    """Kill a service's processes, as the loss of its database would end them."""
    for name in name_processes(service):
        stack.supervisor.kill(name)


def follow_procedure(stack: Stack, seen: Restored) -> None:
    begun = run_command(stack, seen.service, "recover", "--begin", WHY)
    if begun.returncode:
        seen.violations.append(f"recover --begin: {begun.stdout}{begun.stderr}")
    planned = run_recover(stack, seen)
    done = run_recover(stack, seen, "--approve", WHY)
    seen.written = sum(row["state"] == WRITTEN for row in done)
    seen.questions = [row for row in done if row["state"] == FOR_A_HUMAN]
    if seen.written < sum(row["state"] == "to write" for row in planned):
        seen.violations.append(f"recover wrote {seen.written} of {len(planned)} rows: {seen.questions[:5]}")
    start_service(stack, seen.service)


def start_service(stack: Stack, service: str) -> None:
    names = name_processes(service)
    with ThreadPoolExecutor(len(names)) as pool:
        for _ in pool.map(stack.supervisor.restart, names):
            pass


def run_recover(stack: Stack, seen: Restored, *options: str) -> Sequence[dict[str, Any]]:
    """Run `recover`; return its rows."""
    done = run_command(stack, seen.service, "recover", *options, "--json")
    try:
        rows: list[dict[str, Any]] = json.loads(done.stdout)
    except ValueError:
        seen.violations.append(f"recover {' '.join(options)}: {done.stdout[-500:]}{done.stderr[-1500:]}")
        return []
    return rows


def settle_parked(stack: Stack, client: Client, seen: Restored) -> None:
    """Retry what is parked because of the restore, until no order is under way; the end of the run checks that."""
    end = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < end:
        try:
            parked = fetch_rows(stack, "order", PARKED)
            for order, saga in parked:
                client.retry_order(order) if order else client.retry_saga(saga)
                seen.retried.add(order or saga)
            if not parked and not find_open(stack):
                return
        except psycopg.OperationalError:
            pass  # the audit says whether it stays away
        time.sleep(POLL_SECONDS)


def find_effects(stack: Stack, seen: Restored) -> list[str]:
    """Return what participants still have of orders that the order service does not know, and no human is told of."""
    return [
        f"{order}: the order service does not know it, and {service} has something of it"
        for order in seen.unknown
        if not seen.is_for_a_human(order)
        for service, query in EFFECTS.items()
        if fetch_rows(stack, service, query, order)
    ]
