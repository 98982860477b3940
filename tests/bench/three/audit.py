"""Whether every order of three steps came to its end, with everything done once or nothing left done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import psycopg

from celery_config.common.services import ORCHESTRATOR, SERVICES

# What must be there for each confirmed order, and for no other.
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
# The same for every order of the rows, however many there are.
SUM = "SELECT count(*), coalesce(sum(hashtextextended(id::text, 0)), 0) FROM ({ids}) AS found (id)"
OPEN_ORDERS = "SELECT count(*) FROM three_order WHERE ended_at IS NULL"
OPEN_SAGAS = "SELECT count(*) FROM saga_sagainstance WHERE status NOT IN ('completed', 'compensated')"
DEAD = "SELECT count(*) FROM saga_deadletter"
UNPUBLISHED = "SELECT count(*) FROM messaging_outboxmessage WHERE published_at IS NULL"


def faults(environment: Mapping[str, str]) -> Iterator[str]:
    """What is not as promised, once everything has come to rest.

    Args:
        environment: names the database of each service.
    """

    def ask(service: str, question: str) -> tuple[int, ...]:
        with psycopg.connect(environment[f"{service.upper()}_DATABASE_URL"]) as connection:
            return connection.execute(question.encode()).fetchone() or ()

    sums = {what: ask(service, SUM.format(ids=ids)) for what, (service, ids) in IN_EFFECT.items()}
    if len(set(sums.values())) > 1:
        counts = ", ".join(f"{count} {what}" for what, (count, _) in sums.items())
        yield f"what was done does not match the orders: {counts}"
    for what, question in (("orders", OPEN_ORDERS), ("sagas", OPEN_SAGAS), ("dead letters", DEAD)):
        if (count := ask(ORCHESTRATOR, question)[0]) > 0:
            yield f"{count} {what} left"
    for service in SERVICES:
        if (count := ask(service, UNPUBLISHED)[0]) > 0:
            yield f"{count} messages of {service} were not sent"
