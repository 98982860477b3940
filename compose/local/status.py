"""`./manage.py status`: the addresses, login and health of what runs here, and what waits for a human."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from celery_config.common.console import show_text
from celery_config.common.services import SERVICES
from compose.local import held
from compose.local.environment import var_folder
from compose.local.errors import LocalError
from compose.local.output import print_error
from compose.local.overview import make_overview
from compose.local.running import Announcement, find_running

ANSWER_SECONDS = 8.0
FINE = ("ok", "warning")
WAITING = {
    ("order_saga_sagas", "parked"): ("parked order", "parked orders", "saga/parkedsaga/"),
    ("order_saga_dead_letters_open", ""): ("dead letter", "dead letters", "saga/deadletter/"),
    ("order_saga_outbox_set_aside", ""): (
        "message that cannot be sent",
        "messages that cannot be sent",
        "messaging/outboxmessage/?set_aside=yes",
    ),
    ("order_saga_contradictions", ""): (
        "contradiction from outside in 24 h",
        "contradictions from outside in 24 h",
        "messaging/contradiction/",
    ),
}
"""What waits for a human, one and many of it and its admin page, by the metric that counts it and the status meant."""


def main(argv: list[str]) -> int:
    """Print the state of each stack that runs.

    Returns:
        0 if all of them work, 1 if something does not, or if none runs.
    """
    argparse.ArgumentParser(prog="./manage.py status", description=__doc__).parse_args(argv)
    console, var = Console(highlight=False), var_folder()
    try:
        found = find_running(var)
    except LocalError as error:
        print_error(error)
        return 1
    if not found:
        print_error(f"Nothing is running in {var}: start it with `make up` or `KEEP=1 make demo`.")
        return 1
    return max([print_state(announcement, console) for announcement in found])


def print_state(announcement: Announcement, console: Console) -> int:
    """Print one stack's state; return 1 if a service does not accept orders or something does not move."""
    environment = {**os.environ, **announcement.environment}
    console.print(make_overview(environment, f"Process {announcement.pid}", flower=announcement.flower))
    health = Table("service", "accepts", "moves", title="Health")
    waiting: list[str] = []
    stopped = held.read(Path(environment["ORDER_SAGA_VAR"])) if "ORDER_SAGA_VAR" in environment else set()
    code = 0
    with httpx.Client(timeout=ANSWER_SECONDS, trust_env=False) as client:
        for service in SERVICES:
            url = environment[f"{service.upper()}_URL"]
            if service in stopped:
                accepts = moves = ["stopped; `./manage.py up --start " + service + "` starts it"]
            else:
                accepts, moves = find_faults(client, f"{url}/readyz"), find_faults(client, f"{url}/flowz")
            cells = (
                show_text(", ".join(faults)) if faults else "[green]yes[/green]"
                for faults in (accepts, moves)
            )
            health.add_row(service, *cells)
            code = max(code, int(bool(accepts or moves)))
            if service not in stopped:
                waiting += [f"{service}: {line}" for line in find_waiting(client, url)]
    console.print(health)
    told = ["Waiting for a human:", *waiting] if waiting else ["Nothing waits for a human."]
    console.print(show_text("\n".join(told)))
    return code


def find_faults(client: httpx.Client, url: str) -> list[str]:
    """What a page of health says is wrong."""
    try:
        answer = client.get(url)
        told: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        return [f"no answer ({type(error).__name__})"]
    if answer.status_code == httpx.codes.OK:
        return []
    return [
        f"{name}: {text}"
        for name, text in told.items()
        if isinstance(text, str) and not text.startswith(FINE)
    ]


def find_waiting(client: httpx.Client, url: str) -> Iterator[str]:
    """What waits for a human at a service, with the page that shows it."""
    try:
        page = client.get(f"{url}/metrics").text
    except httpx.HTTPError as error:
        yield f"not known ({type(error).__name__})"
        return
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            known = WAITING.get((sample.name, sample.labels.get("status", "")))
            if known and sample.value:
                one, many, page = known
                yield f"{sample.value:g} {one if sample.value == 1 else many}: {url}/admin/{page}"
