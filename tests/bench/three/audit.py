"""The audit of the three steps: every order has ended, with each step in effect once or with none in effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import psycopg

from celery_config.common.services import ORCHESTRATOR, SERVICES

# What must exist for each confirmed order, and for no other order.
IN_EFFECT = {
    "confirmed orders": ("order", "SELECT id FROM three_order WHERE status = 'confirmed'"),
    "completed sagas": (
        "order",
        "SELECT subject FROM saga_sagainstance WHERE name = 'three-steps' AND status = 'completed'",
    ),
    "payments": ("payment", "SELECT order_id FROM three_payment WHERE status = 'taken'"),
    "goods": ("inventory", "SELECT order_id FROM three_taken"),
    "parcels": ("shipment", "SELECT order_id FROM three_shipment WHERE status = 'sent'"),
}
# A number of rows and a checksum of their ids: equal sets of ids give equal pairs.
SUM = "SELECT count(*), coalesce(sum(hashtextextended(id::text, 0)), 0) FROM ({ids}) AS found (id)"
OPEN_ORDERS = "SELECT count(*) FROM three_order WHERE ended_at IS NULL"
OPEN_SAGAS = "SELECT count(*) FROM saga_sagainstance WHERE status NOT IN ('completed', 'compensated')"
DEAD = "SELECT count(*) FROM saga_deadletter"
UNPUBLISHED = "SELECT count(*) FROM messaging_outboxmessage WHERE published_at IS NULL"


def find_faults(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield what is not as promised, once no order is under way.

    Args:
        environment: has the URL of each service's database.
    """

    def fetch_row(service: str, query: str) -> tuple[int, ...]:
        with psycopg.connect(environment[f"{service.upper()}_DATABASE_URL"]) as connection:
            return connection.execute(query.encode()).fetchone() or ()

    sums = {what: fetch_row(service, SUM.format(ids=ids)) for what, (service, ids) in IN_EFFECT.items()}
    if len(set(sums.values())) > 1:
        counts = ", ".join(f"{count} {what}" for what, (count, _) in sums.items())
        yield f"the steps in effect do not match the orders: {counts}"
    for what, query in (("orders", OPEN_ORDERS), ("sagas", OPEN_SAGAS), ("dead letters", DEAD)):
        if (count := fetch_row(ORCHESTRATOR, query)[0]) > 0:
            yield f"{count} {what} are left"
    for service in SERVICES:
        if (count := fetch_row(service, UNPUBLISHED)[0]) > 0:
            yield f"{count} messages of {service} were not sent"
