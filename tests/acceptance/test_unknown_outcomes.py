"""The provider and the carrier do what was asked and do not say so, or say so late, twice, wrongly, or to a stranger.

Whatever they do, the order ends; no order has two live charges or bookings, and nothing is held outside that
no service knows of. That is read in their own books, and by the audit after each test.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from celery_config.contracts.base import command_id
from celery_config.http.webhooks import HEADER, sign
from tests.acceptance.shop import UNREACHABLE, Shop, until

PROVIDER, CARRIER = "/provider", "/carrier"
WEBHOOKS = {"payment": "/webhooks/provider", "shipment": "/webhooks/carrier"}
DOORS = {"payment": "/api/provider-events/", "shipment": "/api/carrier-events/"}
LISTS = {"payment": "/provider/authorizations", "shipment": "/carrier/shipments"}
STEPS = {"payment": "authorize-payment", "shipment": "book-shipment"}
ENDED = {"voided", "cancelled"}
HELD_UP = 60.0
ORDERS = 4
SLOW = 24
LIES: list[tuple[str, str, dict[str, Any]]] = [
    ("payment", "authorization.authorized", {"amount": 1}),
    ("payment", "authorization.authorized", {"currency": "USD"}),
    ("payment", "authorization.refused", {"code": "card_declined", "reason": "no"}),
    ("shipment", "shipment.booked", {"weight_grams": 1}),
    ("shipment", "shipment.booked", {"reference": str(uuid4())}),
]
MANY = 1000


class Outside:
    """The sandbox, as its owner sees it."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.http = httpx.Client(base_url=shop.stack.sandbox_url, trust_env=False)

    def fault(self, path: str, kind: str, **more: Any) -> None:
        self.http.post("/control/faults", json={"path": path, "kind": kind, **more}).raise_for_status()

    def behave(self) -> None:
        self.http.delete("/control/faults").raise_for_status()

    def calls(self, name: str) -> int:
        return int(self.http.get("/control/stats").json()["calls"].get(name, 0))

    def still_to_come(self, path: str) -> int:
        """How many of the faults planned for this path have not hit."""
        faults = self.http.get("/control/stats").json()["faults"]
        return sum(fault["count"] for fault in faults if fault["path"] == path)

    def books(self, service: str, order: str) -> list[str]:
        """The states of what the service's other side holds for the order."""
        found = self.http.get(LISTS[service], params={"reference": order}).json()["items"]
        return [entry["status"] for entry in found]

    def entry(self, service: str, order: str) -> dict[str, Any]:
        (entry,) = self.http.get(LISTS[service], params={"reference": order}).json()["items"]
        return dict(entry)

    def tell(self, service: str, event: dict[str, Any], secret: str = "") -> httpx.Response:
        """Send an event as the other side would, or as a forger."""
        content = json.dumps(event).encode()
        known = self.shop.stack.environment[f"{service.upper()}_WEBHOOK_SECRET"]
        headers = {HEADER: sign(content, secret or known, at=int(time.time()))}
        return httpx.post(
            self.shop.stack.url(service) + DOORS[service], content=content, headers=headers, trust_env=False
        )

    def check(self, orders: list[str], *may: str) -> None:
        """Every order ended in a way that it may, and both books hold just what belongs to that."""
        ends = self.shop.ends(orders)
        self.behave()  # else the look into the books is held up, too
        assert {end.status for end in ends.values()} <= set(may), ends
        for order in orders:
            money, parcels = self.books("payment", order), self.books("shipment", order)
            if ends[order].status == "confirmed":
                assert (money, parcels) == (["captured"], ["dispatched"])
            else:
                assert max(len(money), len(parcels)) <= 1
                assert set(money + parcels) <= ENDED

    def barrier(self, service: str, order: str) -> tuple[str, str]:
        return self.shop.barrier(service, self.shop.saga(order)["id"]).get(STEPS[service], ("", ""))


@pytest.fixture
def outside(shop: Shop) -> Iterator[Outside]:
    outside = Outside(shop)
    yield outside
    outside.behave()
    outside.http.close()


def contradictions(shop: Shop, service: str) -> int:
    return int(shop.rows(service, "SELECT count(*) AS n FROM messaging_contradiction")[0]["n"])


class TestTheCall:
    @pytest.mark.parametrize("hints", [True, False], ids=["told", "untold"])
    def test_was_done_and_its_answer_is_lost_or_comes_twice(
        self, shop: Shop, outside: Outside, hints: bool
    ) -> None:
        for path in () if hints else WEBHOOKS.values():
            outside.fault(path, "lose", count=MANY)
        for kind in ("timeout", "error_after", "drop", "twice", "hang", "error_500"):
            for path in (PROVIDER, CARRIER):
                outside.fault(path, kind, count=2, seconds=1.5)
        orders = shop.place_all([shop.order() for _ in range(2 * ORDERS)])
        shop.ends(orders)
        assert [outside.still_to_come(path) for path in (PROVIDER, CARRIER)] == [0, 0]
        self.check_tries(shop, orders)
        # One that chance hits at each of its tries is given up, and must leave nothing behind.
        outside.check(orders, "confirmed", "cancelled")

    def check_tries(self, shop: Shop, orders: list[str]) -> None:
        """Two answers 500 are in the histories of these orders, and on the barrier's rows."""
        told = "SELECT count(*) AS n FROM saga_steptry WHERE reason LIKE %s AND flow = ANY(%s::uuid[])"
        sagas = [shop.saga(order)["id"] for order in orders]

        def has_both() -> bool:
            return bool(shop.rows("order", told, "%answered 500%", sagas)[0]["n"] >= 2)

        until(has_both, "the order service heard of two answers 500")
        tried = shop.rows("payment", "SELECT saga, tries FROM messaging_barrierrow WHERE tries > 0")
        assert {str(row["saga"]) for row in tried} & set(sagas)

    @pytest.mark.parametrize("path", [PROVIDER, CARRIER])
    def test_is_never_answered_and_the_event_alone_tells(
        self, shop: Shop, outside: Outside, path: str
    ) -> None:
        """Each try times out, so the order can only go on by what the webhook wrote."""
        outside.fault(path, "timeout", count=MANY, seconds=HELD_UP)
        orders = shop.place_all([shop.order() for _ in range(2)])
        outside.check(orders, "confirmed")

    @pytest.mark.parametrize("hints", [True, False], ids=["told", "untold"])
    def test_is_answered_after_the_undo_has_begun(self, shop: Shop, outside: Outside, hints: bool) -> None:
        orders = []
        for service in STEPS:
            if not hints:
                outside.fault(WEBHOOKS[service], "lose", count=MANY)
            outside.fault(LISTS[service], "timeout", seconds=HELD_UP)
            orders.append(shop.place())
            until(
                lambda s=service: not outside.still_to_come(LISTS[s]), "it is done over there, and not told"
            )  # type: ignore[misc]
            shop.shopper.http.post(f"/api/orders/{orders[-1]}/cancel/").raise_for_status()
        outside.check(orders, "cancelled")


class TestTheEvent:
    def test_comes_before_the_answer(self, shop: Shop, outside: Outside) -> None:
        for service in STEPS:
            outside.fault(LISTS[service], "timeout", seconds=HELD_UP)
        order = shop.place()
        outside.check([order], "confirmed")
        assert [outside.barrier(service, order) for service in STEPS] == [("done", "")] * 2

    def test_comes_before_each_answer_of_choreographed_orders_and_no_watchdog_is_needed(
        self, shop: Shop, outside: Outside
    ) -> None:
        """Done and refused: the answer that finds itself known is announced to the other services."""
        for path in LISTS.values():
            outside.fault(path, "timeout", count=MANY, seconds=0.4)
        refusals: list[dict[str, Any]] = [{"address": UNREACHABLE}, {"payment_token": "tok_card_declined"}]
        orders = [shop.place(flow="choreographed", **fields) for fields in ({}, *refusals)]
        outside.check(orders, "confirmed", "cancelled")
        query = "SELECT sum(attempt) AS n FROM order_choreography WHERE order_id::text = ANY(%s)"
        assert shop.rows("order", query, orders)[0]["n"] == 0, "something had to be announced again"

    @pytest.mark.parametrize("kind", ["duplicate", "reorder", "forge", "delay", "lose"])
    def test_comes_twice_out_of_order_forged_late_or_never(
        self, shop: Shop, outside: Outside, kind: str
    ) -> None:
        before = {s: contradictions(shop, s) for s in STEPS}
        refused = outside.calls("webhook provider 400")
        for path in WEBHOOKS.values():
            outside.fault(path, kind, count=2 * ORDERS, seconds=0.5)
        lost = {"payment_token": "tok_error_after_charging"}
        fine = shop.place_all([shop.order(**lost) for _ in range(ORDERS)])
        gone = shop.place_all([shop.order(**lost, address=UNREACHABLE) for _ in range(ORDERS)])
        outside.check(fine, "confirmed")
        outside.check(gone, "cancelled")
        if kind == "forge":
            until(
                lambda: outside.calls("webhook provider 400") - refused >= ORDERS,
                "forged events were refused",
            )
        assert {s: contradictions(shop, s) for s in STEPS} == before

    def test_comes_for_an_order_that_was_compensated(self, shop: Shop, outside: Outside) -> None:
        sent = "webhook provider 200"
        outside.fault(WEBHOOKS["payment"], "delay", count=2, seconds=4)
        order = shop.place(address=UNREACHABLE)
        outside.check([order], "cancelled")
        before = outside.calls(sent)
        until(lambda: outside.calls(sent) >= before + 2, "the late events have come")
        assert (shop.facts("payment", order)["state"], outside.books("payment", order)) == (
            "voided",
            ["voided"],
        )
        assert outside.barrier("payment", order) == ("done", "done")

    def test_is_signed_and_not_true(self, shop: Shop, outside: Outside) -> None:
        order = shop.place()
        outside.check([order], "confirmed")
        for service, kind, changed in LIES:
            before, facts = contradictions(shop, service), shop.facts(service, order)
            event = self.event(outside, service, order, kind)
            event["data"] |= changed
            told = [outside.tell(service, event).json()["outcome"] for _ in range(2)]
            assert told == ["contradicts", "contradicts"]
            assert contradictions(shop, service) == before + 1
            assert shop.facts(service, order) == facts

    def test_is_forged_for_an_order_in_doubt(self, shop: Shop, outside: Outside) -> None:
        """Only the provider can say that it is done, or that it was refused."""
        outside.fault(WEBHOOKS["payment"], "lose", count=MANY)
        outside.fault(LISTS["payment"], "timeout", seconds=HELD_UP)
        order = shop.place()
        until(lambda: not outside.still_to_come(LISTS["payment"]), "it is done over there, and not told")
        for kind in ("authorization.authorized", "authorization.refused"):
            event = self.event(outside, "payment", order, kind)
            event["data"] |= {"code": "card_declined", "reason": "no"} if kind.endswith("refused") else {}
            answer = outside.tell("payment", event, secret="guessed")
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_signature")
        outside.check([order], "confirmed")

    @staticmethod
    def event(outside: Outside, service: str, order: str, kind: str) -> dict[str, Any]:
        saga = outside.shop.saga(order)["id"]
        key = command_id(saga, STEPS[service], "do")
        data = outside.entry(service, order)
        return {"id": f"evt_{uuid4().hex}", "type": kind, "idempotency_key": str(key), "data": data}


def test_nobody_outside_holds_what_nobody_knows(shop: Shop, outside: Outside) -> None:
    """The books of provider and carrier against ours, over all that was done to them here."""
    for service in STEPS:
        done = shop.command(service, "reconcile")
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.strip().splitlines()[-1].endswith(" 0 differences")


class TestASlowOtherSide:
    @pytest.mark.parametrize("dies", [False, True], ids=["alive", "killed"])
    def test_holds_up_nobody_else(self, shop: Shop, outside: Outside, dies: bool) -> None:
        """Also after a worker died on it, and the broker gives out first what it had in hand."""
        # A call may take ten seconds, and no process asks again meanwhile.
        with shop.restarted_with({"SAGA_TIME_SCALE": "1"}, "payment-worker", "order-web", "order-relay"):
            outside.fault(LISTS["payment"], "hang", count=SLOW, seconds=HELD_UP)
            slow = shop.place_all([shop.order()] * SLOW)
            until(lambda: outside.still_to_come(LISTS["payment"]) == 0, "all of them are held up")
            if dies:
                outside.fault(LISTS["payment"], "hang", count=SLOW, seconds=HELD_UP)
                shop.stack.supervisor.kill("payment-worker")
                shop.stack.restart("payment-worker")
                until(lambda: outside.still_to_come(LISTS["payment"]) == 0, "all are held up again")
            shop.all_confirmed(shop.place_all([shop.order()] * 10))
            assert shop.in_flight(slow) == SLOW
            outside.behave()
            shop.all_confirmed(slow)
