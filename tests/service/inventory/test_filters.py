"""Lists are filtered by ids of other rows, whether or not these exist."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("address", ["stock", "movements"])
def test_nothing_belongs_to_a_product_that_is_not_there(peer: Any, db: None, address: str) -> None:
    answer = peer.get(f"/api/{address}/", {"product": "NOWHERE"})
    assert (answer.status_code, answer.json()["results"]) == (200, [])
