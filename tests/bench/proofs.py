"""`python -m tests.bench.proofs`: what the proofs of messages cost an order by the code alone, without any server.

The chain is made, each link is checked as its participant does, each gives its word, and the end checks all words: with
proofs required, less the same without. Of a choreographed order the mandate is made; each of six steps checks it and
the proofs that it needs, and gives its own. Times are the shortest of many, so all caches are warm, as in no worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.conf import settings

from celery_config.broker.message_authentication import (
    MANDATE,
    PROOFS,
    WORDS,
    MessageKeys,
    Mode,
    check_proofs,
)
from celery_config.common.codec import encode
from celery_config.common.services import SERVICES
from celery_config.contracts.base import encode as encode_contract
from celery_config.contracts.order import OrderPlaced
from celery_config.contracts.values import Address, Line
from celery_config.saga.dsl import Saga
from celery_config.saga.engine.chains import ChainBuilder, Link
from celery_config.saga.engine.machine import Drive
from celery_config.saga.states import StepState
from celery_config.saga.testing import list_links
from tests.bench.service import set_up_django

CALLS, REPEATS = 20, 200
SAGA = UUID(int=1)
ADDRESS = {"name": "Ada", "line1": "1 High St", "city": "London", "postal_code": "SW1", "country": "GB"}
THREE_STEPS = {"order": str(SAGA), "amount": 1000, "sku": "sku-17", "quantity": 2, "address": "1 High St"}
PLACE_ORDER = {
    "order": str(SAGA), "customer": str(SAGA), "amount": 1785, "currency": "EUR", "payment_token": "tok_visa",
    "lines": [{"sku": "85123A", "quantity": 7}], "address": ADDRESS, "weight_grams": 1000, "parcels": 1,
}  # fmt: skip
REPLY = {"payment": str(SAGA), "amount": 1785, "currency": "EUR"}


def main() -> None:
    set_up_django("order")
    from order_project.sagas.place_order import PlaceOrder
    from tests.bench.three.order import ThreeSteps

    for saga, data in ((ThreeSteps, THREE_STEPS), (PlaceOrder, PLACE_ORDER)):
        off, shorter = measure(saga, data, Mode.OFF)
        required, longer = measure(saga, data, Mode.REQUIRE)
        parts = ", ".join(f"{name} {required[name] - off[name]:.1f}" for name in off)
        more = sum(required.values()) - sum(off.values())
        print(f"{saga.name}: {more:.0f} µs an order ({parts}); {longer} bytes a chain, without {shorter}")
    spent, size = measure_choreographed()
    parts = ", ".join(f"{name} {time:.1f}" for name, time in spent.items())
    print(f"choreographed: {sum(spent.values()):.0f} µs an order ({parts}); {size} bytes a mandate")


def make_keys(mode: Mode) -> MessageKeys:
    return MessageKeys({service: (service[:1].encode() * 64,) for service in SERVICES}, mode)


def measure(saga: type[Saga], data: dict[str, Any], mode: Mode) -> tuple[dict[str, float], int]:
    """Return the microseconds that each part takes, and the bytes of the chain."""
    from celery_config.saga.engine import tasks

    settings.MESSAGE_KEYS = keys = make_keys(mode)
    send = Drive(saga.steps[0].name)
    build = lambda: ChainBuilder(saga, SAGA, data, 0, keys=keys).build(send)  # noqa: E731
    chain = build()
    *links, end = list_links(chain)
    spent = {"make": time_call(build), "check": 0.0, "words": 0.0}
    words: dict[str, str] = {}
    for link in links:
        service, step = link["task"].partition(".")[0], link["kwargs"]["step"]
        spent["check"] += time_check(keys, service, link, {WORDS: dict(words)})
        say = lambda: keys.sign_outcome(service, str(SAGA), step, "do", "done", REPLY)  # noqa: B023, E731
        spent["words"] += time_call(say)
        words |= say()
    spent["check"] += time_check(keys, "order", end, {})
    replies = {step.name: REPLY for step in saga.steps}
    delivery: Any = SimpleNamespace(message=SimpleNamespace(saga=SAGA), replies={**replies, WORDS: words})

    def read_end() -> None:
        _, find_speaker = tasks.read_end(delivery, StepState.DONE)
        for step in (*replies, *replies):  # for the log and for the end
            find_speaker(step)

    return spent | {"end": time_call(read_end)}, len(encode(chain))


def measure_choreographed() -> tuple[dict[str, float], int]:
    """Return the microseconds that each part of the proofs takes, and the bytes of the mandate; without, both are 0."""
    from order_project.choreography.announcing import make_mandate
    from order_project.choreography.derivation import EVENTS_OF_STEPS

    settings.MESSAGE_KEYS = keys = make_keys(Mode.REQUIRE)
    lines, address = (Line(sku="85123A", quantity=7),), Address(**ADDRESS)
    given: dict[str, Any] = {
        **PLACE_ORDER, "order": SAGA, "customer": SAGA, "lines": lines, "address": address
    }  # fmt: skip
    placed = OrderPlaced(**given)
    event = encode_contract(placed)
    brought = {MANDATE: make_mandate(placed), PROOFS: ""}
    spent = {"make": time_call(lambda: make_mandate(placed)), "check": 0.0, "proofs": 0.0}
    done: list[str] = []
    for command in EVENTS_OF_STEPS:
        service, step = command.service, command.wire_name()

        def check() -> None:
            mandate = keys.check_mandate(service, str(SAGA), step, event, brought)  # noqa: B023
            assert mandate
            check_proofs(mandate, done[-1:], brought)

        give = lambda: keys.give_proof(service, str(SAGA), step, brought)  # noqa: B023, E731
        spent["check"] += time_call(check)
        spent["proofs"] += time_call(give)
        brought[PROOFS] = give()
        done.append(step)
    return spent, len(brought[MANDATE])


def time_check(keys: MessageKeys, service: str, link: Link, replies: dict[str, Any]) -> float:
    def check() -> None:
        keys.check_message(service, link["task"], link["kwargs"])
        keys.check_turn(link["kwargs"], replies)

    return time_call(check)


def time_call(call: Callable[[], object]) -> float:
    """Return the microseconds of processor time of one call."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        for _ in range(CALLS):
            call()
        times.append(time.process_time() - start)
    return 1e6 * min(times) / CALLS


if __name__ == "__main__":
    main()
