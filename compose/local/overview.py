"""What a running stack is: its addresses, its login and its logs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.table import Table

from celery_config.common.services import SERVICES
from compose.local.environment import ADMIN

DESK = "/admin/order/desk/"
PAGES = {"": "/", "admin": "/admin/", "API docs": "/api/docs/"}


def make_overview(
    environment: Mapping[str, str], title: str, *, flower: str = "", notes: Iterable[str] = ()
) -> Table:
    """Return a table of all addresses, the order desk first; below it the login, the folder of the logs and the notes.

    Args:
        environment: that of the stack's processes.
        flower: its address; empty: there is none.
    """
    login = f"Login everywhere: {ADMIN} / {environment['ADMIN_PASSWORD']}"
    logs = f"Logs: {environment['ORDER_SAGA_VAR']}/log"
    table = Table(title=title, caption="\n".join([login, logs, *notes]))
    table.add_column("what")
    table.add_column("where", no_wrap=True)
    table.add_row("place an order", f"{environment['ORDER_URL']}{DESK}", end_section=True)
    for service in SERVICES:
        for page, path in PAGES.items():
            address = f"{environment[f'{service.upper()}_URL']}{path}"
            table.add_row(f"{service} {page}", address, end_section=page == "API docs")
    if flower:
        table.add_row("Flower", f"{flower}/")
    table.add_row("sandbox (for programs)", f"{environment['SANDBOX_URL']}/")
    return table
