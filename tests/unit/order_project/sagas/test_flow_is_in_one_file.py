"""The order of the steps is written in one file of the order service; nobody else knows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_config.common.services import PARTICIPANTS, SERVICES

ROOT = Path(__file__).resolve().parents[4]
STEPS = (
    "authorize-payment", "reserve-stock", "book-shipment", "capture-payment", "commit-stock", "dispatch-shipment",
)  # fmt: skip


def sources(package: str) -> Iterator[Path]:
    return (path for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts)


@pytest.mark.parametrize("service", PARTICIPANTS)
def test_a_participant_names_no_step_no_saga_and_no_other_services_queue(service: str) -> None:
    others = [name for name in PARTICIPANTS if name != service]
    forbidden = [
        *STEPS,
        "place-order",
        *(f"{other}.commands" for other in others),
        *(f'"{o}.' for o in others),
    ]
    files = sources(SERVICES[service].package)
    found = [(path.name, word) for path in files for word in forbidden if word in path.read_text()]
    assert found == []


def test_only_the_flow_file_of_the_order_service_names_the_steps() -> None:
    naming = {
        path.name for path in sources("order_project") if any(step in path.read_text() for step in STEPS)
    }
    assert naming == {"place_order.py"}


def test_the_engine_names_no_step() -> None:
    assert [p.name for p in sources("celery_config") if any(step in p.read_text() for step in STEPS)] == []
