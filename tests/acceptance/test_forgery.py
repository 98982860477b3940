"""What each service could send with its own broker password alone, in another's name: refused, seen, nothing changed.

The broker refuses what its rights say. What it lets pass, because a service hands on links to any other, is a dead
letter, on which no saga acts (rule 29, authenticity).
"""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from kombu import Connection

from celery_config.broker.message_authentication import WORDS
from celery_config.broker.topology import (
    COMMANDS,
    EVENTS,
    TASK_EVENTS,
    TASKS,
    URGENT_TASKS,
    control_exchange,
)
from celery_config.saga.engine.chains import COMPLETE, STEP_FAILED
from tests.acceptance.intruder import DEAD_LETTER, Intrude, Intruder
from tests.acceptance.shop import ADDRESS, TEA, Shop, until
from tests.acceptance.wire import Letter

PIVOT_RAN = "order.pivot_ran"
STRANGER = {**ADDRESS, "name": "Somebody Else", "line1": "9 Other Road"}


@pytest.fixture
def refused_letters(shop: Shop) -> Any:
    """Wait for dead letters of these tasks; all say that they are forged."""
    known = {row["id"] for row in shop.dead_letters()}

    def wait(*tasks: str) -> None:
        def fresh() -> list[dict[str, Any]]:
            return [row for row in shop.dead_letters() if row["id"] not in known]

        until(lambda: len(fresh()) >= len(tasks), "every forgery is kept as a dead letter")
        assert sorted(row["task"] for row in fresh()) == sorted(tasks), [
            (row["task"], row["fault"], row["consequence"], row["received_at"]) for row in fresh()
        ]
        for row in fresh():
            assert (
                "authentic" in row["fault"] or "forged" in row["fault"] or "unknown task" in row["fault"]
            ), row
            assert row["consequence"].startswith("kept: "), row

    return wait


def read_price(shop: Shop) -> int:
    """What the order service sells tea at."""
    [copy] = shop.rows("order", "SELECT price FROM order_catalogueproduct WHERE sku = %s", TEA)
    return int(copy["price"])


def cloud_event(kind: str, subject: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    about = {"specversion": "1.0", "id": str(uuid4()), "source": f"/{kind.partition('.')[0]}", "type": kind}
    return {**about, "subject": subject, "time": "2026-11-29T00:00:00+00:00", "data": data, **more}


def test_events_of_others_are_refused_by_the_broker(shop: Shop, intrude: Intrude) -> None:
    """A price by payment, an address by inventory, a capture by shipment."""
    price = read_price(shop)
    order = shop.place(flow="choreographed")
    product = {
        "sku": TEA,
        "name": "Tea",
        "price": 1,
        "currency": "EUR",
        "weight_grams": 1,
        "active": True,
        "version": 999,
    }
    customer = {"customer": str(uuid4()), "name": "x", "version": 999}
    captured = {"payment": str(uuid4()), "captured_amount": 1}
    for service, kind, data in (
        ("payment", "inventory.product_changed", {**product, "version": 999}),
        ("inventory", "order.customer_changed", customer),
        ("shipment", "payment.payment_captured", captured),
    ):
        intruder = intrude(service)
        event = cloud_event(kind, TEA, data, saga=order, flow="place-order")
        assert not intruder.send(EVENTS, kind, "events.receive", [], event, what=kind)
        # As a task, for the inbox of the order service, past the exchange of events.
        assert not intruder.send(TASKS, "order.events.receive", "events.receive", [], event, what=kind)
        refusal = f"'{kind}' in exchange '{EVENTS}'"
        until(
            lambda refusal=refusal, service=service: any(  # type: ignore[misc]
                refusal in line and f"refused for user '{service}'" in line
                for line in (shop.stack.logs / "rabbitmq.log").read_text(errors="replace").splitlines()
            ),
            "the broker's log says so",
        )
    shop.all_confirmed([order])
    assert read_price(shop) == price


def test_events_of_others_under_a_key_of_ones_own(shop: Shop, intrude: Intrude, refused_letters: Any) -> None:
    price = read_price(shop)
    event = cloud_event("inventory.product_changed", TEA, {"sku": TEA, "price": 1, "version": 999})
    for exchange, key in (
        (EVENTS, "payment.payment_voided"), (TASKS, "order.step_failed"), (COMMANDS, "order"),
    ):  # fmt: skip
        assert intrude("payment").send(exchange, key, "events.receive", [], event, what=str(event["type"]))
    until(
        lambda: len([r for r in shop.dead_letters() if "product_changed" in r["body"]]) >= 3, "three letters"
    )
    assert read_price(shop) == price


def test_events_of_others_by_another_way(shop: Shop, intrude: Intrude) -> None:
    """The broker checks neither the keys in headers nor those that come through a service's own exchanges."""
    [state] = until(
        lambda: shop.rows("order", "SELECT epoch FROM copies_copystate WHERE name = 'catalogue_product'"),
        "the relay has looked at the source",
    )
    row = {"name": "Tea", "price": 1, "currency": "EUR", "weight_grams": 1, "active": True, "version": 999}
    about, price = {"sku": TEA, **row}, read_price(shop)
    intruder = intrude("payment")
    events = [cloud_event("inventory.product_changed", TEA, about, epoch=state["epoch"]) for _ in range(3)]
    for event, header in zip(events, ("CC", "BCC"), strict=False):
        route = (TASKS, "payment.events.receive", "events.receive")
        assert intruder.send(*route, [], event, headers={header: ["order.events.receive"]})
    own = f"x.{control_exchange('payment')}.pidbox"
    assert shop.stack.rabbitmq is not None
    with Connection(shop.stack.rabbitmq.url("payment")) as connection:
        channel: Any = connection.channel()
        channel.exchange_declare(own, "fanout", auto_delete=False)
        channel.exchange_bind(TASKS, own)
        try:
            assert intruder.send(own, "order.events.receive", "events.receive", [], events[2])
            until(
                lambda: {e["id"] for e in events} <= find_refused_events(shop),
                "the order service refuses all",
            )
        finally:
            channel.exchange_delete(own)
    assert read_price(shop) == price


def find_refused_events(shop: Shop) -> set[str]:
    """The events that came to the order service, and that it calls forged."""
    letters = [row for row in shop.dead_letters() if row["queue"] == "order.commands"]
    forged = [row for row in letters if row["fault"].startswith("forged: it came to order")]
    return {json.loads(row["body"])[1]["id"] for row in forged}


def test_an_end_that_nobody_vouches_for(shop: Shop, intrude: Intrude, refused_letters: Any) -> None:
    """Shipment says that an order is complete whose card was not asked yet, and is refused later."""
    shop.process("payment-worker").stop()
    try:
        order = shop.place(payment_token="tok_card_declined")
        saga = shop.saga(order)["id"]
        intruder = intrude("shipment")
        end = {"saga": saga, "step": "", "attempt": 0, "operation": "complete"}
        replies = {"capture-payment": {"payment": str(uuid4()), "captured_amount": 1}}
        ran = {
            "saga": saga,
            "step": "capture-payment",
            "service": "payment",
            "reply": replies["capture-payment"],
        }
        assert intruder.send(URGENT_TASKS, COMPLETE, COMPLETE, [replies], intruder.sign(COMPLETE, end))
        assert intruder.send(URGENT_TASKS, PIVOT_RAN, PIVOT_RAN, [], intruder.sign(PIVOT_RAN, ran))
        refused_letters(COMPLETE, PIVOT_RAN)
        assert shop.saga(order)["status"] == "running"
    finally:
        shop.restart_all("payment-worker")
    (ended,) = shop.ends([order]).values()
    assert ended.status != "confirmed"
    assert shop.facts("shipment", order).get("state") in (None, "cancelled")


def test_commands_that_the_orchestrator_did_not_give(
    shop: Shop, intrude: Intrude, refused_letters: Any
) -> None:
    """A refund by inventory, a parcel to a stranger by payment, an erasure by shipment."""
    order = shop.place()
    shop.all_confirmed([order])
    before = {service: shop.facts(service, order) for service in ("payment", "inventory", "shipment")}
    nowhere = str(uuid4())
    forged: list[tuple[str, str, dict[str, Any]]] = [
        (
            "inventory",
            "payment.refund_payment",
            {"order": order, "refund": str(uuid4()), "refund_amount": 890, "currency": "EUR"},
        ),
        ("payment", "shipment.book_shipment", {"order": nowhere, "address": STRANGER, "weight_grams": 1}),
        ("payment", "shipment.dispatch_shipment", {"order": nowhere, "shipment": str(uuid4())}),
        (
            "shipment",
            "payment.forget_payer",
            {"erasure": str(uuid4()), "customer": str(uuid4()), "about": [order]},
        ),
    ]
    for service, task, command in forged:
        intruder = intrude(service)
        kwargs = {"saga": str(uuid4()), "step": "x", "attempt": 0, "operation": "do", "command": command}
        for exchange in (TASKS, URGENT_TASKS):
            assert intruder.send(exchange, task, task, [{}], intruder.sign(task, kwargs))
        assert intruder.send(COMMANDS, task.partition(".")[0], task, [{}], kwargs)
    refused_letters(*[task for _, task, _ in forged for _ in range(3)])
    assert {service: shop.facts(service, order) for service in before} == before
    assert shop.facts("shipment", nowhere) == {}


def test_a_parcel_is_not_sent_before_it_is_paid(shop: Shop, intrude: Intrude, refused_letters: Any) -> None:
    """Inventory hands on later links of a real chain, with its own word for its own steps."""
    shop.process("payment-worker").stop()
    try:
        order = shop.place(payment_token="tok_card_declined")
        saga = shop.saga(order)["id"]
        chain = until(lambda: read_chain(shop, saga), "the chain waits for payment")
        intruder = intrude("inventory")
        words: dict[str, str] = {}
        for step in ("reserve-stock", "commit-stock"):
            words |= intruder.keys.sign_outcome("inventory", saga, step, "do", "done", None)
        early = [link for link in chain if link["task"].startswith("shipment.")]
        assert len(early) == 2
        for link in early:
            route = link["options"]
            assert intruder.send(
                route["exchange"], route["routing_key"], link["task"], [{WORDS: words}], link["kwargs"]
            )
        refused_letters(*(link["task"] for link in early))
        assert shop.facts("shipment", order) == {}
    finally:
        shop.restart_all("payment-worker")
    (ended,) = shop.ends([order]).values()
    assert ended.status == "cancelled"


def test_a_service_in_the_middle_swaps_what_it_hands_on(shop: Shop, intrude: Intrude) -> None:
    """Shipment hands on an end with an invented reply among true words, and a capture of another order's payment."""
    shop.process("shipment-worker").stop()
    try:
        robbed, other = shop.place(), shop.place()
        sagas = [shop.saga(order)["id"] for order in (robbed, other)]
        (replies,), chain = until(lambda: read_message(shop, "shipment", sagas[0]), "one waits")
        (others,), _ = until(lambda: read_message(shop, "shipment", sagas[1]), "the other waits")
        intruder = intrude("shipment")
        links = {link["task"]: link for link in chain}

        def hand_on(task: str, brought: dict[str, Any], what: str, result: str) -> None:
            link, route = links[task], links[task]["options"]
            assert intruder.send(
                route["exchange"], route["routing_key"], task, [brought], link["kwargs"], what=what, result=result
            )  # fmt: skip

        captured = {"payment": replies["authorize-payment"]["payment"], "captured_amount": 1}
        invented = {**replies, "book-shipment": {}, "capture-payment": captured}
        hand_on(COMPLETE, invented, "the end, with an invented capture", DEAD_LETTER)
        (letter,) = until(
            lambda: [row for row in shop.dead_letters() if str(row["saga"]) == sagas[0]], "a dead letter"
        )
        assert letter["fault"].startswith(
            "not authentic: no service vouches for what it brings of book-shipment, capture-"
        )
        assert shop.saga(robbed)["status"] == "running"

        booked = {"shipment": str(uuid4()), "tracking_number": "X"}
        own = intruder.keys.sign_outcome("shipment", sagas[0], "book-shipment", "do", "done", booked)
        swapped = {
            **replies, "authorize-payment": others["authorize-payment"], "book-shipment": booked,
            WORDS: {**replies[WORDS], **own},
        }  # fmt: skip
        what, result = (
            "the capture, with another order's payment",
            "refused by payment; the order is not paid",
        )
        hand_on("payment.capture_payment", swapped, what, result)
        until(
            lambda: shop.barrier("payment", sagas[0]).get("capture-payment", ("",))[0] == "refused",
            "payment refuses it",
        )
    finally:
        shop.restart_all("shipment-worker")
    ended = shop.ends([robbed, other])
    assert {order: end.status for order, end in ended.items()} == {robbed: "cancelled", other: "confirmed"}
    assert shop.facts("payment", robbed)["captured"] == 0
    (asked,) = shop.rows("order", "SELECT total FROM order_order WHERE id = %s", other)
    assert shop.facts("payment", other)["captured"] == asked["total"]


def announce(intrude: Intrude, order: str, kind: str, **data: Any) -> bool:
    """Let the service of this event say so of an order."""
    event = cloud_event(kind, order, {"order": order, **data}, saga=order, flow="choreographed")
    return intrude(kind.partition(".")[0]).send(EVENTS, kind, "events.receive", [], event)


def find_rejected_events(shop: Shop, order: str) -> list[str]:
    """The kinds of the events of an order that a service rejected."""
    letters = [row for row in shop.dead_letters() if order in row["body"] and row["task"] == "events.receive"]
    return [json.loads(row["body"])[1]["type"] for row in letters]


def test_a_parcel_for_an_order_that_nobody_placed(shop: Shop, intrude: Intrude) -> None:
    """By inventory's own events, which make shipment act for choreographed orders."""
    order, ids = str(uuid4()), {"payment": str(uuid4()), "reservation": str(uuid4())}
    fetched = {**ids, "address": STRANGER, "weight_grams": 1, "parcels": 1}
    assert announce(intrude, order, "inventory.inventory_fetched", **fetched)
    assert announce(intrude, order, "inventory.inventory_issued", shipment=str(uuid4()))
    until(lambda: len(find_rejected_events(shop, order)) == 2, "both are dead letters")
    assert shop.facts("shipment", order) == {}


def test_money_for_an_order_that_is_stopped(shop: Shop, intrude: Intrude) -> None:
    """By shipment's own event, while the order waits for its goods."""
    shop.process("inventory-worker").stop()
    try:
        order = shop.place()
        payment = until(lambda: shop.facts("payment", order).get("payment"), "the money is held")
        ids = {"payment": payment, "reservation": str(uuid4()), "shipment": str(uuid4())}
        assert announce(intrude, order, "shipment.shipment_arranged", **ids, tracking_number="x")
        until(lambda: find_rejected_events(shop, order), "it is a dead letter")
        assert shop.facts("payment", order)["state"] == "authorized"
        shop.shopper.http.post(f"/api/orders/{order}/cancel/").raise_for_status()
    finally:
        shop.restart_all("inventory-worker")
    assert shop.ends([order])[order].status == "cancelled"
    assert shop.facts("payment", order)["state"] == "voided"


def test_a_parcel_of_a_choreographed_order_before_it_is_paid(shop: Shop, intrude: Intrude) -> None:
    """Inventory says that the goods have left, with the mandate of the order that it got."""
    shop.process("payment-worker").stop()
    try:
        order = shop.place(flow="choreographed", payment_token="tok_card_declined")
        placed = until(
            lambda: shop.rows(
                "order",
                "SELECT payload FROM messaging_outboxmessage WHERE saga = %s AND name = 'order.order_placed'",
                order,
            ),
            "it is announced",
        )
        mandate = placed[0]["payload"]["mandate"]
        keys = intrude("inventory").keys
        proofs = keys.give_proof("inventory", order, "inventory.commit_stock", {})
        data = {"order": order, "shipment": str(uuid4())}
        event = cloud_event(
            "inventory.inventory_issued", order, data, saga=order, mandate=mandate, proofs=proofs
        )
        assert intrude("inventory").send(EVENTS, event["type"], "events.receive", [], event)
        until(lambda: find_rejected_events(shop, order), "it is a dead letter")
        assert shop.facts("shipment", order) == {}
    finally:
        shop.restart_all("payment-worker")
    assert shop.ends([order])[order].status == "cancelled"


def read_chain(shop: Shop, saga: str) -> list[dict[str, Any]]:
    """The later links of a saga's chain, last first, as they lie in payment's queue."""
    found = read_message(shop, "payment", saga)
    return found[1] if found else []


def read_message(shop: Shop, service: str, saga: str) -> tuple[list[Any], list[dict[str, Any]]] | None:
    """What lies in a service's queue for a saga: its arguments, and the later links of its chain."""
    assert shop.stack.rabbitmq is not None
    with Connection(shop.stack.rabbitmq.url(service)) as connection:
        channel: Any = connection.channel()
        # The broker takes back what is not acknowledged when the channel ends.
        while message := channel.basic_get(f"{service}.commands"):
            args, kwargs, embed = json.loads(message.body)
            if kwargs["saga"] == saga:
                return args, embed["chain"]
    return None


def test_chains_that_would_use_the_victims_rights(shop: Shop, intrude: Intrude, refused_letters: Any) -> None:
    """Whoever receives a message publishes what follows from it, so it may not lead anywhere else."""
    intruder = intrude("inventory")
    event = cloud_event("payment.payment_captured", "x", {"payment": str(uuid4()), "captured_amount": 1})
    links = [
        ("events.receive", {"exchange": EVENTS, "routing_key": "payment.payment_captured"}),
        ("events.receive", {"exchange": TASKS, "routing_key": "payment.events.receive"}),
        ("celery.map", {"exchange": TASKS, "routing_key": "payment.refund_payment"}),
        ("task-sent", {"exchange": TASK_EVENTS, "routing_key": "task.sent"}),
    ]
    task = "payment.authorize_payment"
    for name, options in links:
        chain = [{"task": name, "args": [], "kwargs": event, "options": options, "immutable": True}]
        kwargs = {"saga": str(uuid4()), "step": "x", "attempt": 0, "operation": "do", "command": {}}
        assert intruder.send(TASKS, task, task, [{}], kwargs, chain=chain)
    assert intruder.send(TASKS, "payment.map", "celery.map", [], {"task": "x", "it": [1]})
    refused_letters("celery.map", *[task] * len(links))


def test_a_chain_where_nothing_checks_it(shop: Shop, intrude: Intrude) -> None:
    """Celery takes what follows from a message from its headers, too, if the body does not say it."""
    intruder, customer = intrude("inventory"), str(uuid4())
    data = {"customer": customer, "name": "x", "email": "x@example.org", "currency": "EUR", "version": 1}
    event = cloud_event("order.customer_changed", customer, data)
    route = {"exchange": EVENTS, "routing_key": event["type"]}
    link = {"task": "events.receive", "args": [], "kwargs": event, "options": route, "immutable": True}
    failed = {"saga": str(uuid4()), "step": "x", "operation": "do", "attempt": 0}
    to_order = (URGENT_TASKS, STEP_FAILED, STEP_FAILED, [])
    announced: list[Letter] = []
    with shop.wire.reading("forged", announced.append, (EVENTS, event["type"])):
        for where in ("chain", "errbacks", "callbacks"):
            for kwargs in (failed, {**failed, "saga": "none"}):
                what, result = f"{event['type']} as the header {where!r}", "the header is not read"
                assert intruder.send(
                    *to_order, kwargs, embed={}, headers={where: [link]}, what=what, result=result
                )
        await_dead_letter(shop, intruder)
    assert announced == []


def test_work_that_a_service_gives_itself(shop: Shop, intrude: Intrude, refused_letters: Any) -> None:
    """Payment has the order service read rows from inventory: twenty thousand with each message."""
    kwargs = {"copy": "catalogue_product", "keys": [TEA]}
    assert intrude("payment").send(COMMANDS, "order", "copies.resync", [], kwargs)
    assert not intrude("payment").send(TASKS, "order.copies.resync", "copies.resync", [], kwargs)
    refused_letters("copies.resync")


def test_a_chain_that_cannot_be_sent(shop: Shop, intrude: Intrude) -> None:
    """It would lie in its receiver's outbox, set aside, until an operator sees it."""
    intruder, saga = intrude("inventory"), str(uuid4())
    failed = {"saga": saga, "step": "x", "operation": "do", "attempt": 0}
    route = {"exchange": URGENT_TASKS, "routing_key": "payment.fence"}
    for more in ({"task_id": 7}, {"argsrepr": "x" * 200_000}, {"countdown": "x"}, {"reply_to": "x" * 300}):
        link = {"task": "payment.fence", "args": [], "kwargs": failed, "options": {**route, **more}}
        what = f"a chain with the option {next(iter(more))!r}"
        assert intruder.send(URGENT_TASKS, STEP_FAILED, STEP_FAILED, [], failed, chain=[link], what=what)
    until(
        lambda: len([row for row in shop.dead_letters() if saga in row["body"]]) == 4, "all are dead letters"
    )
    assert shop.rows("order", "SELECT id FROM messaging_outboxmessage WHERE saga = %s", saga) == []


def test_a_message_for_a_later_time(shop: Shop, intrude: Intrude) -> None:
    """It would lie in its receiver's database until then, and what is known of a saga that waits is not asked."""
    intruder, saga = intrude("inventory"), str(uuid4())
    failed = {"saga": saga, "step": "x", "operation": "do", "attempt": 0}
    for headers in ({"eta": "2999-01-01T00:00:00+00:00"}, {"not_before": "2999-01-01T00:00:00+00:00"}):
        result = DEAD_LETTER if "eta" in headers else "the header is not read"
        what = f"a failure with the header {next(iter(headers))!r}"
        assert intruder.send(
            URGENT_TASKS, STEP_FAILED, STEP_FAILED, [], failed, headers=headers, what=what, result=result
        )
    await_dead_letter(shop, intruder)
    assert shop.rows("order", "SELECT id FROM messaging_outboxmessage WHERE saga = %s", saga) == []


def await_dead_letter(shop: Shop, intruder: Intruder) -> None:
    """Wait until the order service has dealt with all urgent messages up to now; the last one is of no saga."""
    last = str(uuid4())
    unread = {"saga": "none", "step": last, "operation": "do", "attempt": 0}
    assert intruder.send(URGENT_TASKS, STEP_FAILED, STEP_FAILED, [], unread)
    until(lambda: any(last in row["body"] for row in shop.dead_letters()), "the last one is a dead letter")


def test_a_failure_that_did_not_happen_holds_up_no_end(shop: Shop, intrude: Intrude) -> None:
    """A step behind the payment is said to have failed, and the card is refused: the order is undone all the same."""
    shop.process("payment-worker").stop()
    try:
        order = shop.place(payment_token="tok_card_declined")
        failed = {
            "saga": shop.saga(order)["id"],
            "step": "dispatch-shipment",
            "operation": "do",
            "attempt": 0,
        }
        assert intrude("inventory").send(URGENT_TASKS, STEP_FAILED, STEP_FAILED, [], failed)
    finally:
        shop.restart_all("payment-worker")
    assert shop.ends([order])[order].status == "cancelled"


def test_a_failure_that_did_not_happen_stops_an_order_and_takes_nothing(shop: Shop, intrude: Intrude) -> None:
    """Errbacks prove nothing: the order is paid and sent, or neither."""
    shop.process("payment-worker").stop()
    try:
        order = shop.place()
        failed = {
            "saga": shop.saga(order)["id"],
            "step": "dispatch-shipment",
            "operation": "do",
            "attempt": 0,
        }
        assert intrude("inventory").send(
            URGENT_TASKS,
            STEP_FAILED,
            STEP_FAILED,
            [],
            failed,
            result="the order is looked at; it is paid and sent, or neither",
        )
    finally:
        shop.restart_all("payment-worker")
    (ended,) = shop.ends([order]).values()
    payment, shipment = shop.facts("payment", order), shop.facts("shipment", order)
    paid = payment.get("state") == "captured"
    assert (ended.status == "confirmed") is paid
    assert (shipment.get("state") == "dispatched") is paid
