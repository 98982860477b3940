"""A flow is told in one or two sentences, and its strip says where each step stands."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from celery_config.contracts.inventory import CommitStock, ForgetBuyer, ReleaseStock, ReserveStock
from celery_config.contracts.payment import (
    AuthorizePayment,
    CapturePayment,
    ForgetPayer,
    RefundPayment,
    VoidPayment,
)
from celery_config.contracts.shipment import BookShipment, CancelShipment, DispatchShipment, ForgetRecipient
from celery_config.saga.causes import BROUGHT_TO_AN_END, CANCELLED_BY_US, describe_failure
from celery_config.saga.dsl import Step, compensatable, pivot, retriable
from celery_config.saga.faults import describe_step
from celery_config.saga.flow_facts import FlowFacts, StepFacts, Try
from celery_config.saga.operations.explanation import explain
from celery_config.saga.operations.strip import draw_strip
from celery_config.saga.operations.wording import format_ordinal
from celery_config.saga.states import Status, StepState

NOW = datetime(2026, 11, 30, 18, 40, tzinfo=UTC)
EXPIRES = datetime(2026, 12, 5, tzinfo=UTC)
DONE, UNDONE, REFUSED = StepState.DONE, StepState.UNDONE, StepState.REFUSED
# The steps of the three sagas. Their own modules need Django.
ORDER_STEPS = [
    compensatable("authorize", AuthorizePayment, undo=VoidPayment),
    compensatable("reserve", ReserveStock, undo=ReleaseStock),
    compensatable("book", BookShipment, undo=CancelShipment),
    pivot("capture", CapturePayment),
    retriable("commit", CommitStock),
    retriable("dispatch", DispatchShipment),
]
REFUND_STEP = pivot("refund", RefundPayment)
ERASURE_STEPS = [
    retriable("payer", ForgetPayer), retriable("buyer", ForgetBuyer), retriable("recipient", ForgetRecipient),
]  # fmt: skip
AUTHORIZE, RESERVE, BOOK, CAPTURE, COMMIT, DISPATCH = (step.name for step in ORDER_STEPS)
NO_DELIVERY = {"code": "address_unreachable", "reason": "the carrier does not deliver to AQ"}
REFUSED_BOOKING = {"step": BOOK, **NO_DELIVERY}
VOID_500 = {
    "operation": "undo",
    "code": "unknown_outcome",
    "reason": 'POST /auth_0123456789abcdef0/void: answered 500: {"error": {"reason": "out of order"}}',
}
PROVIDER_500 = "the payment provider answered 500 when asked to void the payment: out of order"


def make_facts(step: Step, **known: Any) -> StepFacts:
    given: dict[str, Any] = {"amount": "£5.10"} if step.name == AUTHORIZE else {}
    return replace(describe_step(step, None), **given | known)


def done(**more: Any) -> dict[str, Any]:
    return {"logged": DONE, "ran": True, **more}


def order(status: Status, log: dict[str, dict[str, Any]], **more: Any) -> FlowFacts:
    steps = [make_facts(step, **log.get(step.name, {})) for step in ORDER_STEPS]
    return FlowFacts(noun="order", status=status, steps=steps, now=NOW, **more)


def tried(number: int, next_in: float | None, *, step: str = AUTHORIZE, operation: str = "do") -> Try:
    next_at = None if next_in is None else NOW + timedelta(seconds=next_in)
    return Try(step, operation, number, "unknown_outcome", ANSWERED_500, NOW - timedelta(seconds=1), next_at)


ANSWERED_500 = 'POST /v1: answered 500: {"error": {"reason": "out of order"}}'
TRIED_500 = "the payment provider answered 500 when asked to authorize the payment: out of order"
ALL_DONE = {step.name: done() for step in ORDER_STEPS}
TWO_DONE = {AUTHORIZE: done(), RESERVE: done()}
GOING_BACK = {
    AUTHORIZE: done(expires_at=EXPIRES),
    RESERVE: {"logged": UNDONE, "ran": True},
    BOOK: {"logged": REFUSED, "refusal": NO_DELIVERY},
    CAPTURE: {"logged": UNDONE},
}
BACK = GOING_BACK | {AUTHORIZE: {"logged": UNDONE, "ran": True}}
BOOKING_REFUSED = "The carrier does not deliver to AQ, so the order is being cancelled"
PARKED = {"answer_by": NOW + timedelta(hours=3, minutes=56), "owner": "on-call"}
DRIVEN = {"parked": ""}
ENDED = {"started_at": NOW - timedelta(minutes=2), "ended_at": NOW - timedelta(minutes=1, seconds=58.5)}

ORDERS: dict[str, tuple[FlowFacts, str, str]] = {
    "new": (
        order(Status.RUNNING, {}, due_at=NOW + timedelta(minutes=2)),
        "On its way: payment is asked to authorize the payment.",
        "calling now, not yet, not yet, not yet, not yet, not yet",
    ),
    "half-way": (
        order(Status.RUNNING, TWO_DONE),
        "On its way: shipment is asked to book the shipment.",
        "done, done, calling now, not yet, not yet, not yet",
    ),
    "silent": (
        order(
            Status.RUNNING,
            TWO_DONE,
            drives=2,
            due_at=NOW + timedelta(seconds=12),
            deadline_at=NOW + timedelta(minutes=5),
        ),
        "On its way: shipment is asked to book the shipment; sent again twice, next at 18:40 UTC (in 12 s)."
        " If it does not get further, it is cancelled at 18:45 UTC.",
        "done, done, calling now, not yet, not yet, not yet",
    ),
    "that is tried again": (
        order(Status.RUNNING, {}, due_at=NOW + timedelta(minutes=2), tries=[tried(2, -4), tried(3, 12)]),
        f"On its way: {TRIED_500}; third try, next at 18:40 UTC (in 12 s).",
        "calling now, not yet, not yet, not yet, not yet, not yet",
    ),
    "that is tried now": (
        order(Status.RUNNING, {}, due_at=NOW + timedelta(minutes=2), tries=[tried(3, -0.5)]),
        f"On its way: {TRIED_500}; fourth try.",
        "calling now, not yet, not yet, not yet, not yet, not yet",
    ),
    "whose tries before a drive were used up": (
        order(Status.RUNNING, {}, drives=1, due_at=NOW + timedelta(minutes=2), tries=[tried(5, None)]),
        "On its way: payment is asked to authorize the payment; sent again once, next at 18:42 UTC (in 2 min).",
        "calling now, not yet, not yet, not yet, not yet, not yet",
    ),
    "its clock stands": (
        order(Status.RUNNING, {}, stands_for="broker"),
        "On its way: payment is asked to authorize the payment. Its clock stands: broker.",
        "calling now, not yet, not yet, not yet, not yet, not yet",
    ),
    "of an unknown version": (
        order(Status.RUNNING, {}, fault="place-order version 9 is unknown to this code"),
        "On its way: place-order version 9 is unknown to this code.",
        "calling now, not yet, not yet, not yet, not yet, not yet",
    ),
    "all done but its end": (
        order(Status.FORWARD, ALL_DONE),
        "Past the point of no return (capture the payment), so it is being finished:"
        " the last word of it is on its way.",
        "done, done, done, done, done, done",
    ),
    "refused": (
        order(Status.STOPPING, GOING_BACK, cause=REFUSED_BOOKING),
        f"{BOOKING_REFUSED}: payment is asked to void the payment. £5.10 is held until 5 December.",
        "undoing now, undone, refused, never ran, never ran, never ran",
    ),
    "stopped by an errback, whose reason came by an event": (
        order(
            Status.STOPPING,
            {BOOK: {"logged": REFUSED, "refusal": NO_DELIVERY}},
            cause={"step": BOOK, "code": "step_failed", "reason": "book-shipment failed"},
        ),
        f"{BOOKING_REFUSED}: payment makes sure that it never will capture the payment.",
        "held, held, refused, never ran, never ran, never ran",
    ),
    "stopped by an errback, and the reason is not here yet": (
        order(
            Status.STOPPING, {}, cause={"step": BOOK, "code": "step_failed", "reason": "book-shipment failed"}
        ),
        "Shipment did not book the shipment, so the order is being cancelled:"
        " payment makes sure that it never will capture the payment.",
        "held, held, undoing now, never ran, never ran, never ran",
    ),
    "cancelled by a customer": (
        order(
            Status.STOPPING,
            {CAPTURE: {"logged": UNDONE}},
            cause={"step": "", "code": "cancelled", "reason": "cancelled by ada"},
        ),
        "Cancelled by ada, so the order is being cancelled: shipment is asked to cancel the shipment.",
        "undoing now, never ran, never ran, never ran, never ran, never ran",
    ),
    "past its deadline": (
        order(
            Status.STOPPING,
            {CAPTURE: {"logged": UNDONE}},
            cause={"step": "", "code": "deadline_passed", "reason": "the saga did not end before"},
        ),
        "It did not end before its deadline, so the order is being cancelled:"
        " shipment is asked to cancel the shipment.",
        "undoing now, never ran, never ran, never ran, never ran, never ran",
    ),
    "whose void fails": (
        order(
            Status.STOPPING,
            GOING_BACK | {AUTHORIZE: done(failure=VOID_500 | {"times": 3})},
            cause=REFUSED_BOOKING,
            drives=1,
            due_at=NOW + timedelta(minutes=4),
        ),
        f"{BOOKING_REFUSED}: {PROVIDER_500}, 3 times; sent again once, next at 18:44 UTC (in 4 min). £5.10 is held.",
        "undoing now, undone, refused, never ran, never ran, never ran",
    ),
    "past the pivot": (
        order(Status.FORWARD, {name: done() for name in (AUTHORIZE, RESERVE, BOOK, CAPTURE)}),
        "Past the point of no return (capture the payment), so it is being finished:"
        " inventory is asked to commit the stock.",
        "done, done, done, done, calling now, not yet",
    ),
    "completed": (
        order(Status.COMPLETED, ALL_DONE, **ENDED),
        "Done: all 6 steps are done at 18:38 UTC, after 1.5 s.",
        "done, done, done, done, done, done",
    ),
    "completed before its last event came": (
        order(Status.COMPLETED, TWO_DONE),
        "Done: all 6 steps are done.",
        "done, done, done, done, done, done",
    ),
    "compensated": (
        order(Status.COMPENSATED, BACK, cause=REFUSED_BOOKING, **ENDED),
        "Cancelled, everything undone at 18:38 UTC, after 1.5 s: the carrier does not deliver to AQ.",
        "undone, undone, refused, never ran, never ran, never ran",
    ),
    "cancelled while its first step was called": (
        order(
            Status.COMPENSATED,
            {name: {"logged": UNDONE} for name in (*TWO_DONE, BOOK, CAPTURE)},
            cause=CANCELLED_BY_US,
        ),
        "Cancelled, everything undone: cancelled by us.",
        "undone, never ran, never ran, never ran, never ran, never ran",
    ),
    "cancelled while its second step was called": (
        order(Status.STOPPING, {AUTHORIZE: done(), CAPTURE: {"logged": UNDONE}}, cause=CANCELLED_BY_US),
        "Cancelled by us, so the order is being cancelled: shipment is asked to cancel the shipment."
        " £5.10 is held.",
        "held, undoing now, never ran, never ran, never ran, never ran",
    ),
    "cancelled while the money was taken": (
        order(Status.STOPPING, {name: done() for name in (AUTHORIZE, RESERVE, BOOK)}, cause=CANCELLED_BY_US),
        "Cancelled by us, so the order is being cancelled: payment makes sure that it never will capture the payment."
        " £5.10 is held.",
        "held, held, held, undoing now, not yet, not yet",
    ),
    "cancelled when the money had been taken": (
        order(
            Status.FORWARD,
            {name: done() for name in (AUTHORIZE, RESERVE, BOOK, CAPTURE)},
            cause=CANCELLED_BY_US,
        ),
        "Past the point of no return (capture the payment), so it is being finished:"
        " inventory is asked to commit the stock. Cancelled too late: the money had been taken.",
        "done, done, done, done, calling now, not yet",
    ),
    "brought to an end when the money had been taken": (
        order(
            Status.STOPPING,
            {name: done() for name in (AUTHORIZE, RESERVE, BOOK, CAPTURE)},
            cause=BROUGHT_TO_AN_END,
        ),
        "Past the point of no return (capture the payment), so it is being finished.",
        "done, done, done, done, calling now, not yet",
    ),
    "brought to an end, and done": (
        order(Status.COMPLETED, ALL_DONE, cause=BROUGHT_TO_AN_END),
        "Done: all 6 steps are done.",
        "done, done, done, done, done, done",
    ),
    "cancelled too late": (
        order(Status.COMPLETED, ALL_DONE, cause=CANCELLED_BY_US),
        "Done: all 6 steps are done. Cancelled too late: the money had been taken.",
        "done, done, done, done, done, done",
    ),
    "completed though its deadline had passed": (
        order(Status.COMPLETED, ALL_DONE, cause={"step": "", "code": "deadline_passed", "reason": ""}),
        "Done: all 6 steps are done.",
        "done, done, done, done, done, done",
    ),
    "parked while it was cancelled": (
        order(Status.PARKED, {AUTHORIZE: done()}, cause=CANCELLED_BY_US | DRIVEN, **PARKED),
        "Waits for a decision by 22:36 UTC (in 3 h 56 min):"
        " nothing was heard of payment, asked whether it took the money."
        " Cancelled by us, so the order is being cancelled. £5.10 is held.",
        "held, in doubt, never ran, in doubt, never ran, never ran",
    ),
    "refused at its first step": (
        order(
            Status.COMPENSATED,
            {AUTHORIZE: {"logged": UNDONE, "refusal": {"code": "card_declined", "reason": ""}}},
            cause={"step": AUTHORIZE, "code": "card_declined", "reason": ""},
        ),
        "Cancelled before anything was done: card declined.",
        "refused, never ran, never ran, never ran, never ran, never ran",
    ),
    "parked, with an undo that fails": (
        order(
            Status.PARKED,
            GOING_BACK | {AUTHORIZE: done(expires_at=EXPIRES, failure=VOID_500 | {"times": 6})},
            cause=REFUSED_BOOKING | DRIVEN,
            sent=31,
            **PARKED,
        ),
        f"Waits for a decision by 22:36 UTC (in 3 h 56 min): {PROVIDER_500}, 6 times. {BOOKING_REFUSED}."
        " £5.10 is held until 5 December.",
        "held, undone, refused, never ran, never ran, never ran",
    ),
    "parked and overdue": (
        order(
            Status.PARKED,
            {},
            cause=DRIVEN,
            sent=31,
            answer_by=NOW - timedelta(days=1, minutes=7),
            owner="on-call",
        ),
        "Waits for a decision, overdue since 29 November 18:33 UTC (1 d ago):"
        " nothing was heard of payment, asked to authorize the payment; it was sent again 31 times.",
        "in doubt, not yet, not yet, not yet, not yet, not yet",
    ),
    "parked past its pivot": (
        order(
            Status.PARKED,
            {name: done() for name in (AUTHORIZE, RESERVE, BOOK, CAPTURE)}
            | {COMMIT: {"failure": {"operation": "do", "code": "error", "reason": "reservation_lost: x"}}},
            cause=DRIVEN,
            **PARKED,
        ),
        "Waits for a decision by 22:36 UTC (in 3 h 56 min): inventory could not commit the stock:"
        " reservation_lost: x.",
        "done, done, done, done, in doubt, not yet",
    ),
    "parked with a capture that nobody knows of": (
        order(
            Status.PARKED,
            {name: done() for name in (AUTHORIZE, RESERVE, BOOK)}
            | {
                CAPTURE: {
                    "failure": {"operation": "do", "code": "unknown_outcome", "reason": "ReadTimeout: x"},
                    "refusal": {"code": "unknown_outcome", "reason": "ReadTimeout: x"},
                }
            },
            cause={"step": CAPTURE, "code": "step_failed", "reason": "capture-payment failed"} | DRIVEN,
            **PARKED,
        ),
        "Waits for a decision by 22:36 UTC (in 3 h 56 min):"
        " the payment provider did not answer in time when asked to capture the payment. £5.10 is held.",
        "held, held, held, in doubt, not yet, not yet",
    ),
    "parked by a service that was set back": (
        order(
            Status.PARKED,
            {AUTHORIZE: done(failure={"operation": "do", "code": "step_lost", "reason": "set back"})},
            cause={"parked": "set back"},
            **PARKED,
        ),
        "Waits for a decision by 22:36 UTC (in 3 h 56 min): payment knows nothing of a step that was done"
        " (authorize the payment): its database was set back; ./manage.py payment recover mends it. £5.10 is held.",
        "held, in doubt, not yet, not yet, not yet, not yet",
    ),
    "parked because no worker knows it": (
        order(Status.PARKED, {}, cause={"parked": "deploy one that knows it"}, **PARKED),
        "Waits for a decision by 22:36 UTC (in 3 h 56 min): deploy one that knows it.",
        "in doubt, not yet, not yet, not yet, not yet, not yet",
    ),
}


def choreographed(flow: FlowFacts) -> FlowFacts:
    return replace(flow, choreographed=True)


CHOREOGRAPHED: dict[str, tuple[FlowFacts, str, str]] = {
    name: (choreographed(flow), text, strip)
    for name, (flow, text, strip) in ORDERS.items()
    if name
    in ("new", "half-way", "past the pivot", "completed", "compensated", "parked, with an undo that fails")
} | {
    "undone by all services at once": (
        choreographed(
            order(Status.STOPPING, {**TWO_DONE, BOOK: {"refusal": NO_DELIVERY}}, cause=REFUSED_BOOKING)
        ),
        f"{BOOKING_REFUSED}: payment is asked to void the payment. £5.10 is held.",
        "undoing now, held, refused, never ran, never ran, never ran",
    ),
    "contradicted": (
        choreographed(
            order(Status.PARKED, BACK, cause={"parked": "payment said that it has taken the money, and …"})
        ),
        "Waits for a decision: payment said that it has taken the money, and ….",
        "undone, undone, refused, never ran, not yet, not yet",
    ),
}


def refund(status: Status, known: dict[str, Any], **more: Any) -> FlowFacts:
    steps = [make_facts(REFUND_STEP, **known)]
    return FlowFacts(noun="refund", status=status, steps=steps, now=NOW, **more)


def erasure(status: Status, log: dict[str, dict[str, Any]], **more: Any) -> FlowFacts:
    steps = [make_facts(step, **log.get(step.name, {})) for step in ERASURE_STEPS]
    return FlowFacts(noun="erasure", status=status, steps=steps, now=NOW, **more)


TOO_MUCH = {"code": "refund_too_large", "reason": "more than remains"}
OTHERS: dict[str, tuple[FlowFacts, str, str]] = {
    "a refund on its way": (
        refund(Status.RUNNING, {}),
        "On its way: payment is asked to refund the payment.",
        "calling now",
    ),
    "a refund that was paid": (
        refund(Status.COMPLETED, done()),
        "Done: its one step is done.",
        "done",
    ),
    "a refund that was refused": (
        refund(
            Status.COMPENSATED,
            {"logged": REFUSED, "refusal": TOO_MUCH},
            cause={"step": "refund", **TOO_MUCH},
        ),
        "Cancelled before anything was done: more than remains.",
        "refused",
    ),
    "a refund that waits": (
        refund(
            Status.PARKED,
            {"failure": {"operation": "do", "code": "error", "reason": "IdempotencyKeyExpired"}},
            cause=DRIVEN,
            **PARKED,
        ),
        "Waits for a decision by 22:36 UTC (in 3 h 56 min): payment could not refund the payment:"
        " IdempotencyKeyExpired.",
        "in doubt",
    ),
    "an erasure": (
        erasure(Status.FORWARD, {"payer": done()}),
        "Under way, with no way back, so it is being finished: inventory is asked to forget the buyer.",
        "done, calling now, not yet",
    ),
    "an erasure that waits": (
        erasure(Status.PARKED, {"payer": done()}, cause=DRIVEN, sent=3, **PARKED),
        "Waits for a decision by 22:36 UTC (in 3 h 56 min):"
        " nothing was heard of inventory, asked to forget the buyer; it was sent again 3 times.",
        "done, in doubt, not yet",
    ),
    "an erasure that is done": (
        erasure(Status.COMPLETED, {}),
        "Done: all 3 steps are done.",
        "done, done, done",
    ),
}
TABLE = [
    *(pytest.param(*case, id=f"an order {name}") for name, case in ORDERS.items()),
    *(pytest.param(*case, id=f"a choreographed order {name}") for name, case in CHOREOGRAPHED.items()),
    *(pytest.param(*case, id=name) for name, case in OTHERS.items()),
]


@pytest.mark.parametrize(("flow", "text", "strip"), TABLE)
def test_a_flow_is_told_and_drawn(flow: FlowFacts, text: str, strip: str) -> None:
    assert explain(flow).text == text
    assert ", ".join(cell.state for cell in draw_strip(flow)) == strip


def test_the_table_has_every_status_of_both_flows() -> None:
    assert {flow.status for flow, *_ in ORDERS.values()} == {*Status}
    assert {flow.status for flow, *_ in CHOREOGRAPHED.values()} == {*Status}


def test_what_a_cancelled_order_did_is_undone_though_the_log_does_not_know_it_yet() -> None:
    cells = draw_strip(order(Status.COMPENSATED, TWO_DONE, cause=REFUSED_BOOKING, **ENDED))
    assert [cell.state for cell in cells[:3]] == ["undone", "undone", "never ran"]


def test_the_pivot_is_marked_and_a_refusal_says_why() -> None:
    cells = {cell.name: cell for cell in draw_strip(ORDERS["refused"][0])}
    assert [name for name, cell in cells.items() if cell.is_pivot] == [CAPTURE]
    assert cells[BOOK].reason == "the carrier does not deliver to AQ"
    assert cells[AUTHORIZE].reason == ""
    assert cells[BOOK].service == "shipment"
    assert cells[BOOK].label == "book the shipment"


def test_a_failed_call_says_what_the_provider_answered_under_its_step() -> None:
    cells = {cell.name: cell for cell in draw_strip(ORDERS["whose void fails"][0])}
    assert cells[AUTHORIZE].reason == f"{PROVIDER_500}, 3 times"


@pytest.mark.parametrize(
    ("tries", "state"),
    [
        ([], "calling now"),
        ([tried(3, 12)], "calling now (third try, next in 12 s)"),
        ([tried(3, 0)], "calling now (fourth try)"),
        ([tried(24, 2)], "calling now (24th try, next in 2.0 s)"),
        ([tried(24, -2)], "calling now (after more than 24 tries)"),
        ([tried(3, 12), tried(4, None)], "calling now"),
        ([tried(3, 12, operation="undo")], "calling now"),
        ([tried(3, 12, step=CAPTURE)], "calling now"),
    ],
)
def test_the_strip_says_which_try_it_is_and_when_the_next_one_is(tries: list[Try], state: str) -> None:
    cell = draw_strip(order(Status.RUNNING, {}, tries=tries))[0]
    assert cell.describe_state(NOW) == state
    assert cell.reason == (TRIED_500 if "(" in state else "")


def test_a_try_of_the_undo_or_of_the_fence_is_told_at_what_is_undone() -> None:
    log = {AUTHORIZE: done(), CAPTURE: {}}
    fenced = draw_strip(order(Status.STOPPING, log, tries=[tried(1, 5, step=CAPTURE, operation="fence")]))
    assert fenced[3].describe_state(NOW) == "undoing now (first try, next in 5.0 s)"
    log[CAPTURE] = {"logged": UNDONE}
    late = [tried(4, 20, step=AUTHORIZE), tried(2, 5, operation="undo")]
    undone = draw_strip(
        order(Status.STOPPING, log | {BOOK: {"logged": UNDONE}, RESERVE: {"logged": UNDONE}}, tries=late)
    )
    assert undone[0].describe_state(NOW) == "undoing now (second try, next in 5.0 s)"
    assert undone[0].reason.startswith("the payment provider answered 500 when asked to void the payment")


def test_what_is_in_doubt_says_why_its_last_try_failed() -> None:
    cell = draw_strip(order(Status.PARKED, {}, tries=[tried(3, 12)], cause=DRIVEN))[0]
    assert (cell.describe_state(NOW), cell.reason) == ("in doubt", TRIED_500)


def test_ordinals() -> None:
    told = [format_ordinal(number) for number in (1, 3, 10, 11, 12, 21, 22, 111, 103)]
    assert told == ["first", "third", "tenth", "11th", "12th", "21st", "22nd", "111th", "103rd"]


ANSWERED = "the payment provider answered {} when asked to void the payment"
LINES = {
    VOID_500["reason"]: PROVIDER_500,
    "answered 503: rate limit of 12 reached": f"{ANSWERED.format(503)}: rate limit of # reached",
    'POST /v: answered 500: {"error": {"code": "x", "reas': ANSWERED.format(500),
    'POST /v: answered 500: {"error": {"reason": "broken", "more": "': f"{ANSWERED.format(500)}: broken",
    "POST /v: answered 502: <html><h1>Bad Gateway</h1>": f"{ANSWERED.format(502)}: Bad Gateway",
    "POST /v: answered 200, but not with a JSON object": f"{ANSWERED.format(200)}: not with a JSON object",
    "POST /v: ReadTimeout: slow": "the payment provider did not answer in time when asked to void the payment",
    "POST /v: ReadError: ": "the connection to the payment provider broke when asked to void the payment",
    "wrong key sk_0123456789abcdef01": "payment could not void the payment: wrong key #",
    "": "payment could not void the payment: unknown outcome",
}


@pytest.mark.parametrize(("reason", "line"), LINES.items())
def test_a_failure_is_one_line_with_status_and_words_and_without_ids(reason: str, line: str) -> None:
    failure = {"operation": "undo", "code": "unknown_outcome", "reason": reason}
    assert describe_failure(failure, "payment", "void the payment") == line
