"""Orders in the terminal: each as a strip of its steps, with the sentence that says where it stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from uuid import UUID

from django.utils import timezone
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from celery_config.common.money import money
from celery_config.saga.operations.strip import Cell, CellState
from celery_config.saga.states import ENDED, Status
from order_project.desk.travels import Travel, read_travels
from order_project.models import Order

LOOK_SECONDS = 0.25
MARKS = {
    CellState.DONE: ("✓", "green"),
    CellState.CALLING: ("▶", "bold blue"),
    CellState.UNDOING: ("◀", "bold blue"),
    CellState.REFUSED: ("✕", "red"),
    CellState.UNDONE: ("↶", "yellow"),
    CellState.HELD: ("■", "default"),
    CellState.IN_DOUBT: ("?", "yellow"),
    CellState.NEVER_RAN: ("·", "dim"),
    CellState.NOT_YET: ("·", "dim"),
}
AT_REST = (*ENDED, Status.PARKED)


def draw_travel(travel: Travel) -> RenderableType:
    """Return an order's panel."""
    order = travel.order
    steps = Table.grid(expand=True, padding=(0, 1))
    for _ in travel.cells:
        steps.add_column(ratio=1)
    steps.add_row(*[draw_cell(cell) for cell in travel.cells])
    title = f"{order.pk}  {money(order.total, order.currency)}  {order.flow}"
    return Panel(Group(steps, Text(travel.sentence.text)), title=title, title_align="left")


def draw_cell(cell: Cell) -> Text:
    mark, style = MARKS[cell.state]
    pivot = "\npoint of no return" if cell.is_pivot else ""
    state = cell.describe_state(timezone.now())
    return Text.assemble(
        (f"{cell.service}\n", "dim"), f"{cell.label}\n", (f"{mark} {state}", style), (pivot, "dim")
    )


def watch(
    console: Console, ids: Sequence[UUID], meanwhile: Callable[[], None] = lambda: None
) -> list[Travel]:
    """Show these orders until each has ended or waits for a decision; return them.

    Args:
        meanwhile: what is done before each look.
    """
    with Live(console=console, refresh_per_second=1 / LOOK_SECONDS, transient=False) as live:
        while True:
            meanwhile()
            travels = read_travels(list(Order.objects.filter(pk__in=ids).order_by("created_at", "pk")))
            live.update(Group(*[draw_travel(travel) for travel in travels]))
            if all(travel.status in AT_REST for travel in travels):
                return travels
            time.sleep(LOOK_SECONDS)  # other processes' rows are watched, and a table gives no signal
