"""What the order service tells a participant of its own steps, for its recovery from an older backup."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.service.peer import bearer

pytestmark = pytest.mark.django_db
PARTICIPANTS = ("payment", "inventory", "shipment")


def ask(caller: str, about: str) -> Any:
    client = APIClient(HTTP_AUTHORIZATION=bearer(caller))
    return client.get("/api/sagas/known/", {"service": about})


@pytest.mark.parametrize("caller", PARTICIPANTS)
def test_a_service_learns_of_its_own_steps_alone(caller: str) -> None:
    """The steps of others hold addresses and payment tokens."""
    assert ask(caller, caller).status_code == 200
    for other in {*PARTICIPANTS, "order"} - {caller}:
        answer = ask(caller, other)
        assert (answer.status_code, answer.json()["code"]) == (403, "out_of_scope")
