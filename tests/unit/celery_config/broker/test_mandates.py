"""A mandate makes a service carry out its step of a choreographed order, as the order was placed, and in its turn."""

from __future__ import annotations

import json
from typing import Any

import pytest

from celery_config.broker.message_authentication import (
    MANDATE,
    PROOFS,
    MessageKeys,
    Mode,
    check_proofs,
)
from celery_config.errors import Forged

ORDER = MessageKeys({"payment": (b"p",), "shipment": (b"s",), "order": (b"o",)}, Mode.REQUIRE)
PAYMENT = MessageKeys({"payment": (b"p",)}, Mode.REQUIRE)
SHIPMENT = MessageKeys({"shipment": (b"s",)}, Mode.REQUIRE)
CAPTURE, BOOK = "payment.capture_payment", "shipment.book_shipment"
BOOKING: dict[str, Any] = {"order": "1", "address": {"city": "Dublin"}, "parcels": 1}
STEPS = {CAPTURE: ("payment", {"order": "1"}), BOOK: ("shipment", BOOKING)}


def mandated(**changed: Any) -> dict[str, Any]:
    return {MANDATE: ORDER.make_mandate("1", STEPS), **changed}


def check(order: str = "1", step: str = BOOK, fields: Any = None, event: Any = None) -> Any:
    return SHIPMENT.check_mandate("shipment", order, step, fields or BOOKING, event or mandated())


def test_what_was_asked_for_is_carried_out() -> None:
    assert check()
    assert check(fields={**BOOKING, "reservation": "5"})  # a field that the order service does not know


@pytest.mark.parametrize(
    "changed",
    [
        {"order": "2"}, {"step": CAPTURE}, {"step": "shipment.dispatch_shipment"},
        {"fields": {**BOOKING, "order": "2"}}, {"fields": {**BOOKING, "address": {"city": "Cork"}}},
        {"fields": {"order": "1"}}, {"event": {"x": 1}}, {"event": mandated(mandate="{}")},
        {"event": mandated(mandate=5)},
    ],
    ids=str,
)  # fmt: skip
def test_whatever_else_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Forged):
        check(**changed)


@pytest.mark.parametrize("part", ["codes", "locks"])
def test_a_service_can_change_no_part_of_it(part: str) -> None:
    mandate = json.loads(mandated()[MANDATE])
    mandate[part] = {**mandate[part], BOOK: [["order"], "0" * 32] if part == "codes" else ["0" * 24]}
    with pytest.raises(Forged):
        check(event=mandated(mandate=json.dumps(mandate)))


def test_a_step_waits_for_the_proof_of_another() -> None:
    mandate = check()
    ran = {PROOFS: PAYMENT.give_proof("payment", "1", CAPTURE, {})}
    check_proofs(mandate, [CAPTURE], ran)
    check_proofs(mandate, [CAPTURE, BOOK], {PROOFS: SHIPMENT.give_proof("shipment", "1", BOOK, ran)})
    of_another_order = PAYMENT.give_proof("payment", "2", CAPTURE, {})
    by_another = SHIPMENT.give_proof("shipment", "1", CAPTURE, {})
    for proofs in ("", "x", of_another_order, by_another):
        with pytest.raises(Forged, match="nothing proves"):
            check_proofs(mandate, [CAPTURE], {PROOFS: proofs})


def test_what_older_versions_announced_counts_until_it_is_required() -> None:
    accepting = MessageKeys(SHIPMENT.keys, Mode.ACCEPT)
    assert accepting.check_mandate("shipment", "1", BOOK, BOOKING, {}) is None
    with pytest.raises(Forged):
        accepting.check_mandate("shipment", "2", BOOK, BOOKING, mandated())
    assert MessageKeys({}, Mode.OFF).make_mandate("1", STEPS) == ""
