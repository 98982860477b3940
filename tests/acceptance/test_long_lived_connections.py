"""A worker that is left in peace keeps its connections, heartbeats and all."""

from __future__ import annotations

from tests.acceptance.shop import Shop, until

HEARTBEAT = 2


def test_a_worker_outlives_many_heartbeats(shop: Shop) -> None:
    """Every connection that was opened with a heartbeat sends it: the broker would cut one that is silent for two."""
    with shop.restarted_with({"BROKER_HEARTBEAT": str(HEARTBEAT)}, "inventory-worker"):
        worker = shop.process("inventory-worker")
        began = shop.rows("inventory", "SELECT now() AS at")[0]["at"]
        passed = f"SELECT now() > %s + interval '{5 * HEARTBEAT} seconds' AS over"
        until(lambda: shop.rows("inventory", passed, began)[0]["over"], "five heartbeats")
        assert "Connection to broker lost" not in worker.output()
        shop.all_confirmed(shop.place_all([shop.order()] * 3))
