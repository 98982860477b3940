"""`python -m compose.monitoring.dashboards`: writes the dashboards of Grafana, one file each, from the table below.

Several processes of a service say the same of its database, and each counts for itself: how to add up is written once,
in `sums.yaml`, and the panels show what Prometheus records by it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import yaml
from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as StatPanel
from grafana_foundation_sdk.builders.timeseries import Panel as TimesPanel
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

FOLDER = Path(__file__).resolve().parent
DASHBOARDS, SUMS, RULES = FOLDER / "grafana", FOLDER / "sums.yaml", FOLDER / "rules.yaml"
SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
WIDTH, HEIGHT, COLUMNS = 8, 8, 24
RECORDED = re.compile(r"\w+:\w+:\w+")


@dataclass(frozen=True)
class Panel:
    """One picture.

    Args:
        unit: as Grafana names it: s, reqps, percentunit, bytes, short.
        queries: each with the legend of its lines.
    """

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    is_number: bool = False


def number(title: str, query: str, unit: str = "short") -> Panel:
    """A panel that shows one number."""
    return Panel(title, unit, [(query, "")], is_number=True)


def lines(title: str, unit: str, query: str, legend: str) -> Panel:
    """A panel that shows a line for each series of one query."""
    return Panel(title, unit, [(query, legend)])


BOARDS: dict[str, tuple[str, dict[str, list[Panel]]]] = {
    "orders": (
        "Order Saga: orders",
        {
            "Now": [
                number("On their way", 'sum(status:order_saga_sagas:max{status!="parked"})'),
                number("Wait for a decision", 'status:order_saga_sagas:max{status="parked"}'),
                number("Not decided in time", "all:order_saga_parked_overdue:max"),
                number("Open dead letters", "all:order_saga_dead_letters_open:max"),
                number("Open longer than their deadline", "all:order_saga_open_past_deadline:max"),
                number("Saga time stands for", "max(cause:order_saga_time_standing_seconds:max)", "s"),
            ],
            "How orders end": [
                lines(
                    "Ended, by outcome",
                    "reqps",
                    "saga_outcome:order_saga_sagas_ended:rate5m",
                    "{{saga}} {{outcome}}",
                ),
                Panel(
                    "From start to end",
                    "s",
                    [
                        ("saga:order_saga_saga_seconds:p50_5m", "{{saga}} half of them"),
                        ("saga:order_saga_saga_seconds:p99_5m", "{{saga}} 99 of 100"),
                    ],
                ),
                lines("Have not ended", "short", "status:order_saga_sagas:max", "{{status}}"),
            ],
            "Steps": [
                lines(
                    "Carried out",
                    "reqps",
                    "command_outcome:order_saga_step_seconds:rate5m",
                    "{{command}} {{outcome}}",
                ),
                lines("Time of 99 of 100", "s", "command:order_saga_step_seconds:p99_5m", "{{command}}"),
                lines(
                    "Driven again by the watchdog", "reqps", "status:order_saga_redrives:rate5m", "{{status}}"
                ),
            ],
        },
    ),
    "services": (
        "Order Saga: services",
        {
            "Processes": [
                lines(
                    "Answer",
                    "short",
                    'min by (service, process) (up{job="order-saga"})',
                    "{{service}} {{process}}",
                ),
                lines("Databases take writes", "short", "service:order_saga_database_up:min", "{{service}}"),
                lines(
                    "Processor",
                    "percentunit",
                    "service_process:process_cpu:rate5m",
                    "{{service}} {{process}}",
                ),
                lines(
                    "Memory", "bytes", "service_process:process_memory_bytes:sum", "{{service}} {{process}}"
                ),
            ],
            "Messages": [
                lines(
                    "The oldest that is not sent waits for",
                    "s",
                    "service:order_saga_outbox_age_seconds:max",
                    "{{service}}",
                ),
                lines(
                    "Sent", "reqps", "service_kind:order_saga_outbox_published:rate5m", "{{service}} {{kind}}"
                ),
                lines(
                    "Not taken by the broker",
                    "reqps",
                    "service:order_saga_outbox_refused:rate5m",
                    "{{service}}",
                ),
                lines("Set aside", "short", "service:order_saga_outbox_set_aside:max", "{{service}}"),
                lines("Held by operators", "short", "service:order_saga_messages_held:max", "{{service}}"),
                lines("Wait in queues", "short", "queue:order_saga_queue_messages:max", "{{queue}}"),
                lines("Workers of queues", "short", "queue:order_saga_queue_workers:max", "{{queue}}"),
            ],
            "What holds up": [
                lines(
                    "Messages of a service do not move for",
                    "s",
                    "service_cause:order_saga_trouble_seconds:max",
                    "{{service}}: {{cause}}",
                ),
                lines("Saga time stands for", "s", "cause:order_saga_time_standing_seconds:max", "{{cause}}"),
                lines("The watchdog is late by", "s", "all:order_saga_due_age_seconds:max", "watchdog"),
                lines("Dead letters", "reqps", "reason:order_saga_dead_letters:rate5m", "{{reason}}"),
                lines(
                    "Restored and not recovered", "short", "service:order_saga_recovering:max", "{{service}}"
                ),
                lines(
                    "Members that queues lack",
                    "short",
                    "queue:order_saga_queue_missing_members:max",
                    "{{queue}}",
                ),
            ],
        },
    ),
    "copies-and-books": (
        "Order Saga: copies and books",
        {
            "Copies": [
                lines(
                    "Behind their source by",
                    "s",
                    "service_copy:order_saga_copy_lag_seconds:max",
                    "{{copy}} of {{service}}",
                ),
                lines(
                    "Rows that differ",
                    "short",
                    "service_copy:order_saga_copy_differences:max",
                    "{{copy}} of {{service}}",
                ),
                lines(
                    "Compared last, ago",
                    "s",
                    "time() - service_copy:order_saga_copy_checked_timestamp_seconds:max",
                    "{{copy}} of {{service}}",
                ),
            ],
            "Provider and carrier": [
                lines(
                    "Entries that differ",
                    "short",
                    "books_kind:order_saga_book_differences:max",
                    "{{books}}: {{kind}}",
                ),
                lines(
                    "Compared last, ago",
                    "s",
                    "time() - books:order_saga_books_swept_timestamp_seconds:max",
                    "{{books}}",
                ),
                lines(
                    "Events from outside",
                    "reqps",
                    "service_outcome:order_saga_webhooks:rate5m",
                    "{{service}} {{outcome}}",
                ),
                lines("Contradictions", "short", "service:order_saga_contradictions:max", "{{service}}"),
            ],
        },
    ),
}


def build_board(name: str) -> str:
    """Return a dashboard as the JSON that Grafana reads."""
    title, rows = BOARDS[name]
    board = (
        Dashboard(title).uid(f"order-saga-{name}").tags(["order-saga"]).refresh("15s").time("now-3h", "now")
    )
    board = board.timezone("browser").readonly()
    for row, panels in rows.items():
        board = board.with_row(Row(row))
        for panel in panels:
            board = board.with_panel(build_panel(panel))
    return str(JSONEncoder(sort_keys=True, indent=1).encode(board.build())) + "\n"


def build_panel(panel: Panel) -> Any:
    kind = StatPanel if panel.is_number else TimesPanel
    width = COLUMNS // 6 if panel.is_number else WIDTH
    built: Any = kind().title(panel.title).unit(panel.unit).datasource(SOURCE)
    built = built.span(width).height(HEIGHT // 2 if panel.is_number else HEIGHT).min(0)
    for letter, (query, legend) in zip(ascii_uppercase, panel.queries, strict=False):
        built = built.with_target(Dataquery().ref_id(letter).expr(query).legend_format(legend))
    return built


def list_queries() -> list[str]:
    """The queries of all panels."""
    panels = (panel for _, rows in BOARDS.values() for some in rows.values() for panel in some)
    return [query for panel in panels for query, _ in panel.queries]


def read_sums() -> dict[str, str]:
    """The expressions that Prometheus records, by the name of what it records."""
    groups = yaml.safe_load(SUMS.read_text(encoding="utf-8"))["groups"]
    return {rule["record"]: rule["expr"] for group in groups for rule in group["rules"]}


def main() -> None:
    for name in BOARDS:
        (DASHBOARDS / f"{name}.json").write_text(build_board(name), encoding="utf-8")


if __name__ == "__main__":
    main()
