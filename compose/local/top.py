"""`./manage.py top`: what the running system does now: rates, orders on their way, queues, relays, what stands."""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from celery_config.common import labels
from celery_config.common.arguments import parse_rate
from celery_config.common.console import show_text
from celery_config.common.services import SERVICES
from celery_config.saga.operations.wording import STATUS_WORDS
from celery_config.saga.states import OPEN
from compose.local import running
from compose.local.environment import var_folder
from compose.local.errors import LocalError
from compose.local.output import print_error
from compose.local.status import find_faults

ANSWER_SECONDS = 8.0
RATES = {"placed": "order_saga_began_in_last_minute", "ended": "order_saga_ended_in_last_minute"}
ORDERS = "place-order"
"""How the names of the flows of orders begin."""
State = dict[str, Any]


def main(argv: list[str]) -> int:
    """Print the state, again and again unless `--once`.

    Returns:
        1 if nothing runs, or with `--once` if something does not work.
    """
    options = parse(argv)
    try:
        environment = find_environment()
    except LocalError as error:
        print_error(error)
        return 1
    with httpx.Client(timeout=ANSWER_SECONDS, trust_env=False) as client:
        if options.once:
            state = read_state(environment, client)
            if options.json:
                print(json.dumps(state, indent=1))
            else:
                Console().print(draw_state(state))
            return int(any(each["faults"] for each in state["services"].values()))
        with Live(console=Console(), auto_refresh=False, screen=not options.json) as live:
            while True:
                state = read_state(environment, client)
                if options.json:
                    print(json.dumps(state), flush=True)
                else:
                    live.update(draw_state(state), refresh=True)
                time.sleep(options.every)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py top", description=__doc__)
    parser.add_argument(
        "--once", action="store_true", help="print it once; exit 1 if something does not work"
    )
    parser.add_argument("--json", action="store_true", help="for scripts; without --once a line each time")
    parser.add_argument(
        "--every", type=parse_rate, default=2.0, metavar="SECONDS", help="default %(default)s"
    )
    return parser.parse_args(argv)


def find_environment() -> Mapping[str, str]:
    """Return the environment of the system that runs here, or the one that is set.

    Raises:
        LocalError: there is none.
    """
    found = running.find_running(var_folder())
    if found:
        return {**os.environ, **found[0].environment}
    if all(f"{service.upper()}_URL" in os.environ for service in SERVICES):
        return os.environ
    raise LocalError(f"Nothing is running in {var_folder()}: start it with `make up` or `KEEP=1 make demo`.")


def read_state(environment: Mapping[str, str], client: httpx.Client) -> State:
    """Return what the services and their metrics say now, as JSON values; times are in seconds."""
    metrics = {service: read_metrics(client, find_url(environment, service)) for service in SERVICES}
    order = metrics["order"]
    by_status = {labels["status"]: int(value) for labels, value in order.get("order_saga_sagas", [])}
    standing = {
        labels.get("cause", ""): value
        for labels, value in order.get("order_saga_time_standing_seconds", [])
        if value
    }
    return {
        "at": datetime.now(UTC).isoformat(),
        "rates": {name: count_orders(order, metric) for name, metric in RATES.items()} if order else None,
        "on_their_way": {status.value: by_status.get(status, 0) for status in OPEN},
        "parked": by_status.get("parked", 0),
        "parked_overdue": int(largest(order, "order_saga_parked_overdue") or 0),
        "dead_letters": int(largest(order, "order_saga_dead_letters_open") or 0),
        "standing": standing,
        "services": {
            service: {
                "faults": [
                    fault
                    for page in ("readyz", "flowz")
                    for fault in find_faults(client, f"{find_url(environment, service)}/{page}")
                ],
                "outbox_age": largest(metrics[service], "order_saga_outbox_age_seconds"),
                "set_aside": largest(metrics[service], "order_saga_outbox_set_aside"),
                "copy_lag": largest(metrics[service], "order_saga_copy_lag_seconds"),
            }
            for service in SERVICES
        },
        "queues": list_queues(order),
    }


def find_url(environment: Mapping[str, str], service: str) -> str:
    return environment[f"{service.upper()}_URL"]


def read_metrics(client: httpx.Client, url: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return the samples of a service by name; none if it does not answer."""
    try:
        page = client.get(f"{url}/metrics").text
    except httpx.HTTPError:
        return {}
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def largest(samples: Mapping[str, list[tuple[dict[str, str], float]]], name: str) -> float | None:
    """Return the largest finite value of a metric; None if there is none."""
    return max((value for _, value in samples.get(name, []) if math.isfinite(value)), default=None)


def count_orders(samples: Mapping[str, list[tuple[dict[str, str], float]]], name: str) -> float:
    """Return how many orders a second a metric of the last minute counts, in both flows."""
    orders = (value for labels, value in samples.get(name, []) if labels["saga"].startswith(ORDERS))
    return round(sum(orders) / 60, 2)


def list_queues(
    samples: Mapping[str, list[tuple[dict[str, str], float]]],
) -> dict[str, dict[str, int | None]]:
    """Return the messages and the workers of each queue, as order's relay saw them; no queue if it does not see any."""
    messages = {labels["queue"]: int(value) for labels, value in samples.get("order_saga_queue_messages", [])}
    return {
        labels["queue"]: {"messages": messages.get(labels["queue"]), "workers": int(value)}
        for labels, value in samples.get("order_saga_queue_workers", [])
    }


def draw_state(state: State) -> RenderableType:
    rates, way = state["rates"], state["on_their_way"]
    orders = Table(title=f"Orders at {state['at'][11:19]} UTC", show_header=False)
    told = (
        f"{rates['placed']:g} placed, {rates['ended']:g} ended a second in the last minute"
        if rates
        else labels.NOT_KNOWN
    )
    orders.add_row("Rates", told)
    counts = [f"{way[status]} {STATUS_WORDS[status]}" for status in OPEN]
    orders.add_row(labels.ON_THEIR_WAY, ", ".join(counts))
    overdue = f", {state['parked_overdue']} {labels.OVERDUE}" if state["parked_overdue"] else ""
    orders.add_row(labels.WAITING, f"{state['parked']}{overdue}", style="red" if state["parked"] else "")
    orders.add_row(
        labels.DEAD_LETTERS, str(state["dead_letters"]), style="red" if state["dead_letters"] else ""
    )
    stands = ", ".join(f"{seconds:.0f} s for {cause}" for cause, seconds in state["standing"].items())
    told = f"{labels.STANDS}: {stands}" if stands else labels.RUNS
    orders.add_row(labels.SAGA_TIME, told, style="red" if stands else "")
    services = Table(
        labels.SERVICE, labels.MOVES, labels.DOES_NOT_MOVE, labels.TO_SEND, labels.COPIES, labels.NOT_SENDABLE,
        title=labels.SERVICES,
    )  # fmt: skip
    for name, each in state["services"].items():
        faults = each["faults"]
        values = (
            labels.STANDS if faults else labels.MOVES,
            show_text("\n".join(faults)),
            describe_lag(each["outbox_age"], "late"),
            describe_lag(each["copy_lag"], "behind"),
            format_count(each["set_aside"]),
        )
        services.add_row(name, *values, style="red" if faults else "")
    return Group(orders, services, draw_queues(state["queues"]))


def draw_queues(queues: Mapping[str, Mapping[str, int | None]]) -> RenderableType:
    if not queues:
        return f"{labels.QUEUES}: {labels.NOT_KNOWN}."
    table = Table(*labels.QUEUE_HEADERS, title=labels.QUEUES)
    for name, each in queues.items():
        table.add_row(
            name,
            format_count(each["messages"]),
            format_count(each["workers"]),
            style="" if each["workers"] else "red",
        )
    return table


def describe_lag(seconds: float | None, late: str) -> str:
    return labels.NOT_KNOWN if seconds is None else f"{seconds:.1f} s {late}"


def format_count(count: float | None) -> str:
    return labels.NOT_KNOWN if count is None else f"{count:g}"
