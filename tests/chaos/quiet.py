"""Waits until no order is under way and no message is unpublished, then checks what is promised."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import psycopg

from celery_config.common.services import SERVICES
from compose.local.environment import ROOT
from compose.local.errors import LocalError
from compose.local.stack import Stack
from tests.chaos.system import fetch_rows

POLL_SECONDS = 0.25
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
# The audit of the order service compares the copies that it keeps itself.
KEEPERS = ("payment", "shipment")


class NotQuiet(LocalError):
    """Orders are still under way, or messages are unpublished; the text says which."""


def count_in_flight(stack: Stack) -> int:
    """Return how many orders are under way at this moment."""
    return int(fetch_rows(stack, "order", IN_FLIGHT)[0][0])


def find_open(stack: Stack) -> list[tuple[Any, ...]]:
    """Return the orders that have not ended, each with its status; parked ones are among them."""
    return fetch_rows(stack, "order", OPEN_ORDERS)


def wait_until_quiet(stack: Stack, seconds: float) -> float:
    """Wait until every order has ended and every outbox is empty; return the seconds that this took.

    Raises:
        NotQuiet: this did not happen in so many seconds.
    """
    began = time.monotonic()
    while True:
        try:
            left = find_open(stack)
            waiting = {s: int(fetch_rows(stack, s, UNPUBLISHED)[0][0]) for s in SERVICES}
            if not left and not any(waiting.values()):
                return time.monotonic() - began
            state = f"{len(left)} orders have not ended: {left[:5]}; unpublished: {waiting}"
        except psycopg.OperationalError as error:
            state = f"a database does not answer: {error}"
        if time.monotonic() - began > seconds:
            raise NotQuiet(f"not quiet after {seconds:.0f} s: {state}")
        time.sleep(POLL_SECONDS)


def find_violations(stack: Stack) -> list[str]:
    """Return what the audit finds and which copies differ; empty when all is as promised."""
    found = audit_orders(stack)
    for service in KEEPERS:
        found += run_check(stack, [service, "sync", "--check"], " 0 differ")
    return found


def audit_orders(stack: Stack) -> list[str]:
    """Return the findings of the audit, each with its order; or all that it printed, if it could not be done."""
    done = run_command(stack, "order", "audit", "--json")
    try:
        told = json.loads(done.stdout)
        return [*(f"{each['order']}: {each['finding']}" for each in told["findings"]), *told["not_checked"]]
    except (ValueError, KeyError):
        return [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]


def wait_and_find_violations(stack: Stack, seconds: float) -> tuple[list[str], float]:
    """Wait until all is quiet, then return the violations, that it is not quiet among them, and the seconds waited."""
    try:
        waited = wait_until_quiet(stack, seconds)
    except NotQuiet as error:
        return [str(error), *find_violations(stack)], seconds
    return find_violations(stack), waited


def run_check(stack: Stack, command: list[str], clean: str) -> list[str]:
    """Run a command of a service; return the lines that it printed, or none if the last one ends with `clean`."""
    done = run_command(stack, *command)
    last = done.stdout.strip().splitlines()[-1:] or [""]
    if done.returncode == 0 and last[0].endswith(clean):
        return []
    return [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]


def run_command(stack: Stack, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of a service: `order audit`."""
    argv, environment = [sys.executable, "manage.py", *command], {**stack.environment, "COLUMNS": "200"}
    return subprocess.run(
        argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
