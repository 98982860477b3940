"""Waiting until nothing moves any more, and asking whether all is as promised."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import psycopg

from celery_config.common.services import SERVICES
from compose.local.environment import ROOT
from compose.local.stack import Stack

LOOK_SECONDS = 0.25
OPEN_ORDERS = """
    SELECT o.id::text, coalesce(s.status, c.status) FROM order_order o
    LEFT JOIN saga_sagainstance s ON s.id = o.saga LEFT JOIN order_choreography c ON c.order_id = o.id
    WHERE coalesce(s.status, c.status, '') NOT IN ('completed', 'compensated')
"""
IN_FLIGHT = """
    SELECT (SELECT count(*) FROM saga_sagainstance WHERE ended_at IS NULL)
    + (SELECT count(*) FROM order_choreography WHERE status NOT IN ('completed', 'compensated'))
"""
UNPUBLISHED = "SELECT count(*) FROM messaging_outboxmessage WHERE published_at IS NULL"
# The audit compares the copies that the order service keeps.
KEEPERS = ("payment", "shipment")


class NotQuiet(Exception):
    """Something still moves, or never will; the text says what."""


def ask(stack: Stack, service: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of a service's database, as its owner sees them."""
    assert stack.postgres is not None
    with psycopg.connect(stack.postgres.superuser_url(service), connect_timeout=5) as connection:
        return connection.execute(query, values or None).fetchall()


def run(stack: Stack, statement: str) -> None:
    """Change something in the order service's database."""
    assert stack.postgres is not None
    with psycopg.connect(stack.postgres.superuser_url("order"), connect_timeout=5) as connection:
        connection.execute(statement)


def in_flight(stack: Stack) -> int:
    """How many orders are under way at this moment."""
    return int(ask(stack, "order", IN_FLIGHT)[0][0])


def wait_until_quiet(stack: Stack, patience: float) -> float:
    """Wait until every order has ended and every outbox is empty; return the seconds that took.

    Raises:
        NotQuiet: not within `patience` seconds.
    """
    began = time.monotonic()
    while True:
        try:
            left = ask(stack, "order", OPEN_ORDERS)
            waiting = {s: int(ask(stack, s, UNPUBLISHED)[0][0]) for s in SERVICES}
            if not left and not any(waiting.values()):
                return time.monotonic() - began
            state = f"{len(left)} orders have not ended: {left[:5]}; unpublished: {waiting}"
        except psycopg.OperationalError as error:
            state = f"a database does not answer: {error}"
        if time.monotonic() - began > patience:
            raise NotQuiet(f"not quiet after {patience:.0f} s: {state}")
        time.sleep(LOOK_SECONDS)


def audit(stack: Stack) -> list[str]:
    """What the audit finds, and which copies differ; empty when all is as promised."""
    found = faults(stack, ["order", "audit"], " 0 violations")
    for service in KEEPERS:
        found += faults(stack, [service, "sync", "--check"], " 0 differ")
    return found


def faults(stack: Stack, command: list[str], clean: str) -> list[str]:
    """The lines of a service's command; none, if its last one ends so."""
    argv, environment = [sys.executable, "manage.py", *command], {**stack.environment, "COLUMNS": "200"}
    done = subprocess.run(
        argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    last = done.stdout.strip().splitlines()[-1:] or [""]
    if done.returncode == 0 and last[0].endswith(clean):
        return []
    return [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
