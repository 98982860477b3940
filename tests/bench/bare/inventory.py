"""The bare inventory service."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery_config.contracts.base import decode
from celery_config.contracts.inventory import Line
from inventory_app import services
from tests.bench.bare.app import app


@app.task(name="bare.inventory.reserve")
def reserve_stock(replies: dict[str, Any], *, order: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    reservation = services.reserve_stock({UUID(order): decode(list[Line], lines)})[UUID(order)]
    return replies | {"reservation": str(reservation)}


@app.task(name="bare.inventory.commit")
def commit_stock(replies: dict[str, Any], *, order: str) -> dict[str, Any]:
    return replies | {"committed": str(services.commit_stock([UUID(order)])[UUID(order)])}
