"""Cancelling: in mid-flight, too late, twice; and the fence when the saga log is stale (rules 12, 13)."""

from __future__ import annotations

import httpx

from tests.acceptance.shop import Shop, until
from tests.acceptance.wire import Letter


def cancel(shop: Shop, order: str) -> httpx.Response:
    return shop.shopper.http.post(f"/api/orders/{order}/cancel/")


def course(shop: Shop, saga: str) -> list[str]:
    """The states a saga went through after `running`."""
    query = "SELECT status_after FROM saga_sagadecision WHERE saga_id = %s ORDER BY id"
    states = [row["status_after"] for row in shop.rows("order", query, saga)]
    return [state for n, state in enumerate(states) if n == 0 or state != states[n - 1]]


def is_capture(letter: Letter) -> bool:
    return letter.task == "payment.capture_payment"


class TestCancelInMidFlight:
    def test_leaves_no_trace_and_a_late_capture_takes_no_money(self, shop: Shop) -> None:
        with shop.wire.held_back("payment", is_capture) as held:
            order = shop.place()
            saga = shop.saga(order)["id"]
            until(lambda: held.of(saga), "the capture is on its way")
            assert {shop.barrier(s, saga)[step][0] for s, step in STEPS} == {"done"}

            first = cancel(shop, order)
            assert (first.status_code, first.json()["status"]) == (202, "stopping")
            again = cancel(shop, order)
            assert again.status_code == 202

            end = shop.ends([order])[order]
            assert (end.status, end.code) == ("cancelled", "cancelled")
            after_the_end = cancel(shop, order)
            assert (after_the_end.status_code, after_the_end.json()["status"]) == (202, "compensated")
        assert all(shop.barrier(service, saga)[step] == ("done", "done") for service, step in STEPS)

        shop.wire.send(*held.letters)
        until(lambda: logged(shop, "payment-worker", saga, "outlived"), "the late capture was turned away")
        assert shop.barrier("payment", saga)["capture-payment"] == ("tombstone", "")
        assert shop.shopper.detail(order)["status"] == "cancelled"


STEPS = [("payment", "authorize-payment"), ("inventory", "reserve-stock"), ("shipment", "book-shipment")]


def logged(shop: Shop, process: str, *words: str) -> bool:
    """Whether a line of the process's output holds all these words."""
    return any(all(word in line for word in words) for line in shop.process(process).output().splitlines())


class TestCancelAfterTheEnd:
    def test_is_refused_with_code_and_reason(self, shop: Shop) -> None:
        order = shop.place()
        shop.all_confirmed([order])
        answer = cancel(shop, order)
        assert answer.status_code == 409
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["code"] == "too_late"
        assert "completed" in problem["detail"]
        assert shop.shopper.detail(order)["status"] == "confirmed"


class TestCancelWhenTheLogIsStale:
    def test_an_order_whose_money_was_taken_goes_forward(self, shop: Shop) -> None:
        with (
            shop.wire.no_events("order"),
            shop.wire.held_back("inventory", lambda letter: letter.task == "inventory.commit_stock") as held,
        ):
            order = shop.place()
            saga = shop.saga(order)["id"]
            until(lambda: held.of(saga), "the money is taken, the stock is to be committed")
            assert shop.barrier("payment", saga)["capture-payment"] == ("done", "")
            assert {step["state"] for step in shop.saga(order)["steps"]} == {""}

            answer = cancel(shop, order)
            # No process can know yet: the fence is asked.
            assert answer.status_code == 202
            until(lambda: shop.saga(order)["status"] == "forward", "the fence has answered")
            too_late = cancel(shop, order)
            assert (too_late.status_code, too_late.json()["code"]) == (409, "too_late")
        shop.wire.send(*held.letters)
        shop.all_confirmed([order])
        assert course(shop, saga) == ["stopping", "forward"]
        assert shop.saga(order)["status"] == "completed"
