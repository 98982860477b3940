"""`./manage.py chaos`: orders over HTTP while random faults happen; then all orders end and the audit is clean.

Two of three hosts of the broker are dead all the time. First a queue takes nothing while 20,000 rows wait for it; then
everything fails at random; in the end one service's database comes back from a backup.
"""

from __future__ import annotations

import argparse
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg
from rich.console import Console

from celery_config.common.arguments import parse_count, parse_seconds
from celery_config.common.console import progress_bars
from celery_config.common.services import SERVICES
from compose.local.stack import Stack
from tests.chaos.client import Client
from tests.chaos.failpoints import disarm
from tests.chaos.faults import ALARM_SECONDS, FIRST_VERSION, FaultCounts, Faults
from tests.chaos.load import Load
from tests.chaos.permanent_faults import (
    WORSE,
    choose_clock_settings,
    choose_settings,
    describe_hosts,
    draw_broker_hosts,
    merge_settings,
    name_broker_hosts,
)
from tests.chaos.quiet import count_in_flight, wait_and_find_violations
from tests.chaos.restarter import Restarter
from tests.chaos.restore import Restored, restore_database
from tests.chaos.stuck_queue import StuckQueue, stick_queue
from tests.chaos.system import STOP_SECONDS, fetch_rows, find_failpoints, start_system
from tests.service.broker import dead_hosts

FAULTS_AT_ONCE = 3
PAUSE_SECONDS = (0.3, 2.5)
POLL_SECONDS = 0.1
QUIET_SECONDS = 120.0
COMPENSATED_SHARE = 0.2
EXECUTION_SHARE = 0.1
KINDS_WANTED = 8
SECONDS_PER_FAULT = 6.0
# What is placed while a database is restored.
LAST_SHARE, LAST_ORDERS, LAST_SECONDS = 0.1, 30, 2.0
STATUSES = """
    SELECT status, count(*) FROM (
        SELECT status FROM saga_sagainstance UNION ALL SELECT status FROM order_choreography
    ) AS flows GROUP BY status
"""
# Every fault of a run is a part of the system that is down; that is no reason to end an order.
BY_DEADLINE = """
    SELECT subject, cause->>'reason' FROM saga_sagainstance WHERE cause->>'code' = 'deadline_passed'
    UNION ALL SELECT order_id::text, cause->>'reason' FROM order_choreography WHERE cause->>'code' = 'deadline_passed'
"""
EXECUTIONS = """
    SELECT CASE version WHEN 3 THEN 'over REST' ELSE 'over the broker' END, count(*) FROM saga_sagainstance GROUP BY 1
    UNION ALL SELECT 'by events', count(*) FROM order_choreography
"""


@dataclass
class Report:
    """What happened in a run; `quiet_after` is in seconds."""

    faults: FaultCounts = field(default_factory=FaultCounts)
    violations: list[str] = field(default_factory=list)
    statuses: Mapping[str, int] = field(default_factory=dict)
    executions: Mapping[str, int] = field(default_factory=dict)
    quiet_after: float = 0.0
    hosts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The addresses of the broker's hosts, by service; one of them is alive."""
    stuck: StuckQueue | None = None
    restored: Restored | None = None
    accepted: int = 0


def main(argv: list[str]) -> int:
    options = parse_options(argv)
    console = Console(highlight=False)
    console.print(f"seed {options.seed}")
    settings = {"PLACE_ORDER_VERSION": str(FIRST_VERSION), **choose_settings(options.worse)}
    report = Report()

    def choose_service_settings(stack: Stack) -> dict[str, dict[str, str]]:
        report.hosts = draw_broker_hosts(stack, dead, random.Random(f"{options.seed}/hosts"))
        return merge_settings(choose_clock_settings(options.worse), name_broker_hosts(report.hosts))

    with dead_hosts() as dead, start_system("chaos", console, settings, choose_service_settings) as stack:
        run_chaos(stack, options, console, report)
    return print_report(report, options, console)


def parse_options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py chaos", description=__doc__)
    parser.add_argument("--orders", type=parse_count, default=2000)
    parser.add_argument(
        "--duration", type=parse_seconds, default=600.0, help="seconds in which they are placed"
    )
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument(
        "--worse", choices=list(WORSE), help="a permanent fault: " + "; ".join(WORSE.values())
    )
    return parser.parse_args(argv)


def run_chaos(stack: Stack, options: argparse.Namespace, console: Console, report: Report) -> None:
    chance, folder = random.Random(options.seed), find_failpoints(stack.var)
    disarm(folder)
    client = Client(stack, random.Random(chance.random()))
    client.stock_shelves()
    last_orders = max(LAST_ORDERS, int(LAST_SHARE * options.orders))
    load = Load(client, max(0, options.orders - last_orders), options.duration, options.seed)
    last_load = Load(client, min(last_orders, options.orders), LAST_SECONDS, options.seed + 1)
    faults = Faults(stack, folder, chance)
    over = threading.Event()
    with (
        Restarter(stack, folder / "fired", STOP_SECONDS) as restarter,
        progress_bars(console) as progress,
    ):
        bar = progress.add_task("chaos", total=options.orders)
        causing = threading.Thread(target=cause_faults, args=(faults, report, over, options))
        causing.start()
        watching = threading.Thread(
            target=lambda: show_progress(load, over, lambda n: progress.update(bar, completed=n))
        )
        watching.start()
        try:
            load.place_all()
            progress.update(bar, completed=len(load.placed))
        finally:
            over.set()
            causing.join()
            watching.join()
            disarm(folder)
        with console.status("One database comes back from a backup …"):
            restore_one(stack, client, last_load, restarter, options, report)
        report.violations, report.quiet_after = wait_and_find_violations(stack, QUIET_SECONDS)
        report.violations += restarter.failures
    assert report.restored is not None
    report.violations = [what for what in report.violations if not report.restored.is_for_a_human(what)]
    report.violations += report.restored.violations
    report.violations += report.stuck.find_violations() if report.stuck else []
    report.violations += [
        f"order {order} ended by deadline: {reason}"
        for order, reason in fetch_rows(stack, "order", BY_DEADLINE)
    ]
    report.statuses = dict(fetch_rows(stack, "order", STATUSES))
    report.executions = dict(fetch_rows(stack, "order", EXECUTIONS))
    report.accepted = len(load.placed) + len(last_load.placed)
    client.close()


def restore_one(
    stack: Stack,
    client: Client,
    load: Load,
    restarter: Restarter,
    options: argparse.Namespace,
    report: Report,
) -> None:
    """Set the database of a service back that the seed draws, while the last orders are placed."""
    service = random.Random(f"{options.seed}/lost").choice([*SERVICES])
    wait_for_database(stack, threading.Event())
    report.restored = restore_database(stack, client, load, restarter, service)
    counts = report.faults.landed if report.restored.in_flight else report.faults.missed
    counts["one database restored from a backup"] += 1


def show_progress(load: Load, over: threading.Event, show: Callable[[int], None]) -> None:
    while not over.wait(0.5):
        show(len(load.placed))


def cause_faults(faults: Faults, report: Report, over: threading.Event, options: argparse.Namespace) -> None:
    """Cause random faults, a few at the same time, until all orders are placed.

    Before them a queue is stuck. Once, one service is away for a minute; once, another version of the flow is deployed.
    """
    began = time.monotonic()
    stick_one(faults, report, over)
    rest = max(0.0, options.duration - (time.monotonic() - began))
    once: dict[str, Callable[[], bool]] = {
        "a service away for a minute": faults.take_service_away,
        "another version of the flow deployed": faults.deploy_second_version,
        "an alarm of RabbitMQ, longer than a deadline": lambda: faults.raise_alarm(ALARM_SECONDS),
        "a relay hung, longer than a deadline": faults.hang_relay,
    }
    if options.worse == "broker":
        once["the broker's data lost"] = faults.lose_broker_data
    with ThreadPoolExecutor(FAULTS_AT_ONCE + len(once)) as pool:
        running = [
            pool.submit(
                cause_later,
                over,
                rest * 0.7 * n / len(once),
                cause,
                faults,
                kind,
                report,
            )
            for n, (kind, cause) in enumerate(once.items())
        ]
        while not over.wait(faults.chance.uniform(*PAUSE_SECONDS)):
            running = [each for each in running if not each.done()]
            if len(running) < FAULTS_AT_ONCE + len(once):
                kind = faults.draw_kind()
                running.append(pool.submit(cause_and_count, faults, kind, faults.kinds[kind][0], report))


def stick_one(faults: Faults, report: Report, over: threading.Event) -> None:
    """Let rows wait for a queue that takes nothing."""
    seen = report.stuck = stick_queue(faults.stack, over)
    has_landed = seen.learned is not None and seen.ended > 0
    (report.faults.landed if has_landed else report.faults.missed)["a queue stuck with 20,000 rows"] += 1


def cause_later(
    over: threading.Event,
    seconds: float,
    cause: Callable[[], bool],
    faults: Faults,
    kind: str,
    report: Report,
) -> None:
    """Cause a fault that a run needs: later, and not while another fault has stopped the database."""
    if not over.wait(seconds) and wait_for_database(faults.stack, over):
        cause_and_count(faults, kind, cause, report)


def wait_for_database(stack: Stack, over: threading.Event) -> bool:
    """Return whether the order service's database answers before the run is over."""
    while not over.wait(POLL_SECONDS):
        with suppress(psycopg.OperationalError):
            count_in_flight(stack)
            return True
    return False


def cause_and_count(faults: Faults, kind: str, cause: Callable[[], bool], report: Report) -> None:
    """Cause a fault; it has landed if it hit something while orders were in flight."""
    try:
        busy = count_in_flight(faults.stack) > 0
        landed = cause() and busy
    except psycopg.OperationalError:
        landed = False  # another fault has stopped the database
    except Exception as error:  # amqp's own, while the broker is away: there is nothing to hit
        report.faults.missed[f"{kind}: {type(error).__name__}"] += 1
        return
    (report.faults.landed if landed else report.faults.missed)[kind] += 1


def print_report(report: Report, options: argparse.Namespace, console: Console) -> int:
    console.print(report.faults.make_table())
    console.print(describe_hosts(report.hosts))
    for seen in (report.stuck, report.restored):
        console.print(str(seen), markup=False, soft_wrap=True)
    for row in report.restored.questions if report.restored else ():
        console.print(f"for a human: {row['of']} {row['what']}", markup=False, soft_wrap=True)
    for counts in (report.statuses, report.executions):
        console.print(", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
    orders, landed = sum(report.statuses.values()), report.faults.landed.total()
    weak = find_weaknesses(report, orders, landed, options)
    for line in (*report.violations, *weak):
        console.print(line, style="red", markup=False)
    print(
        f"chaos: {orders} orders, {landed} faults landed mid-flight, {len(report.violations)} violations,"
        f" quiet after {report.quiet_after:.0f} s",
        flush=True,
    )
    return 1 if report.violations or weak else 0


def find_weaknesses(report: Report, orders: int, landed: int, options: argparse.Namespace) -> list[str]:
    """Return the reasons why this run proves too little."""
    found = []
    wanted = int(options.duration / SECONDS_PER_FAULT)
    if landed < wanted:
        found.append(f"only {landed} faults landed while orders were in flight; at least {wanted} should")
    if len(report.faults.landed) < min(KINDS_WANTED, wanted):
        found.append(f"only {len(report.faults.landed)} kinds of faults; at least {KINDS_WANTED} should land")
    if report.statuses.get("compensated", 0) < COMPENSATED_SHARE * orders:
        found.append(f"only {report.statuses.get('compensated', 0)} of {orders} orders were compensated")
    for how in ("over the broker", "over REST", "by events"):
        if report.executions.get(how, 0) < EXECUTION_SHARE * orders:
            found.append(f"only {report.executions.get(how, 0)} of {orders} orders were carried out {how}")
    if report.accepted < options.orders:
        found.append(f"only {report.accepted} of {options.orders} orders were accepted")
    return found
