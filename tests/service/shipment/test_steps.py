"""Book, cancel, dispatch: at the carrier and in our rows, each once, whatever the carrier's line does."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from celery_config.contracts.shipment import BookShipment
from celery_config.db.functions import Now
from celery_config.errors import OutcomeUnknown, Refused, StepSuperseded
from celery_config.messaging.models import BarrierRow, OutboxMessage
from shipment_app import services
from shipment_app.domain import ShipmentState, shipment_id
from shipment_app.errors import CarrierDisagrees, NoShipment
from shipment_app.models import Shipment
from tests.service.shipment.parcels import ADDRESS, book, cancel, carrier_call, dispatch, ours, theirs
from tests.service.together import postgresql, together

pytestmark = pytest.mark.usefixtures("carrier_process")
LOST_ANSWERS = ["error_after", "drop", "timeout"]
ENDS = {
    ShipmentState.CANCELLED: ShipmentState.DISPATCHED,
    ShipmentState.DISPATCHED: ShipmentState.CANCELLED,
}


def test_a_shipment_is_booked_and_dispatched(participant: Any) -> None:
    command = book()
    reply = participant.do(command)
    row = Shipment.objects.get(order=command.order)
    assert reply == {"shipment": str(shipment_id(command.order)), "tracking_number": row.tracking_number}
    assert {name: getattr(row, name) for name in ADDRESS} == ADDRESS
    assert (row.state, row.weight_grams, row.parcels) == ("booked", 900, 2)
    assert participant.do(dispatch(command.order), step="dispatch") == {"shipment": str(row.id)}
    assert (ours(command.order), theirs(command.order)) == ("dispatched", ["dispatched"])
    assert list(OutboxMessage.objects.order_by("id").values_list("name", flat=True)) == [
        "shipment.shipment_booked",
        "shipment.shipment_dispatched",
    ]


def test_a_shipment_has_all_parts_of_its_address(participant: Any) -> None:
    command = book(line2="Flat 3", region="Yorkshire")
    participant.do(command)
    row = Shipment.objects.get(order=command.order)
    assert (row.line1, row.line2, row.region) == ("1 Mill Lane", "Flat 3", "Yorkshire")


def test_an_incomplete_address_is_the_carriers_decision(participant: Any) -> None:
    participant.do(book(line1="", city="", postal_code=""))
    with pytest.raises(Refused, match="address_unreachable"):
        participant.do(book(line1="", city="", postal_code="", country="AQ"), saga=uuid4())


def test_repeats_reply_again(participant: Any) -> None:
    command, saga = book(), uuid4()
    assert participant.do(command, saga=saga) == participant.do(command, saga=saga)
    sent = dispatch(command.order)
    assert participant.do(sent, saga=saga, step="d") == participant.do(sent, saga=saga, step="d")
    assert theirs(command.order) == ["dispatched"]


@postgresql
def test_twins_book_once(participant: Any) -> None:
    command, saga = book(), uuid4()
    replies = together(*[functools.partial(participant.do, command, saga=saga)] * 6)
    assert replies == [replies[0]] * 6
    assert theirs(command.order) == ["booked"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (book(country="AQ"), "address_unreachable"),
        (book(postal_code="00000"), "address_unreachable"),
        (book(weight_grams=1_000_001), "parcel_too_heavy"),
    ],
)
def test_the_carriers_refusals_are_stored_and_announced(
    participant: Any, command: BookShipment, code: str
) -> None:
    saga = uuid4()
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            participant.do(command, saga=saga)
        assert refused.value.code == code
    assert OutboxMessage.objects.get(name="shipment.shipment_refused").payload["data"]["code"] == code
    participant.undo(cancel(command.order), saga=saga)
    assert (ours(command.order), theirs(command.order)) == (None, [])


@pytest.mark.parametrize("kind", LOST_ANSWERS)
def test_a_lost_answer_is_unknown_and_the_repeat_books_nothing_more(
    participant: Any, carrier_process: Any, kind: str
) -> None:
    command, saga = book(), uuid4()
    carrier_process.fault("/carrier", kind, count=5 if kind == "drop" else 1)
    with pytest.raises(OutcomeUnknown):
        participant.do(command, saga=saga)
    assert (ours(command.order), BarrierRow.objects.get().action) == (None, "intent")
    carrier_process.clear_faults()
    participant.do(command, saga=saga)
    assert (ours(command.order), theirs(command.order)) == ("booked", ["booked"])


@pytest.mark.parametrize("kind", LOST_ANSWERS)
def test_doubt_is_settled_before_it_is_undone(participant: Any, carrier_process: Any, kind: str) -> None:
    command, saga = book(), uuid4()
    carrier_process.fault("/carrier", kind, count=5 if kind == "drop" else 1)
    with pytest.raises(OutcomeUnknown):
        participant.do(command, saga=saga)
    carrier_process.clear_faults()
    participant.undo(cancel(command.order), saga=saga)
    assert (ours(command.order), theirs(command.order)) == ("cancelled", ["cancelled"])
    with pytest.raises(StepSuperseded):
        participant.do(command, saga=saga)


def forget_keys(process: Any, saga: UUID) -> None:
    """Two days later: the carrier has forgotten the keys of all calls; those of this saga are as old."""
    BarrierRow.objects.filter(saga=saga).update(created_at=Now() - timedelta(days=2))
    process.forget_keys()


@pytest.mark.parametrize("end", ["undo", "repeat", "fence"])
def test_a_booking_whose_key_was_forgotten_is_looked_up_first(
    participant: Any, carrier_process: Any, end: str
) -> None:
    """Rule 8 (effects outside): repeated with that key it would be a second parcel."""
    command, saga = book(), uuid4()
    carrier_process.fault("/carrier/shipments", "error_after")
    with pytest.raises(OutcomeUnknown):
        participant.do(command, saga=saga)
    forget_keys(carrier_process, saga)
    match end:
        case "undo":
            participant.undo(cancel(command.order), saga=saga)
        case "repeat":
            participant.do(command, saga=saga)
        case "fence":
            assert participant.fence(BookShipment, saga=saga, subject=str(command.order))
    state = "cancelled" if end == "undo" else "booked"
    assert (ours(command.order), theirs(command.order)) == (state, [state])


def test_a_booking_that_the_carrier_does_not_show_is_asked_for_again(
    participant: Any, carrier_process: Any
) -> None:
    """Rule 8 (effects outside): "not found" settles no doubt, so the call is repeated all the same."""
    command, saga = book(), uuid4()
    carrier_process.fault("/carrier/shipments", "error_500")
    with pytest.raises(OutcomeUnknown):
        participant.do(command, saga=saga)
    forget_keys(carrier_process, saga)
    participant.do(command, saga=saga)
    assert (ours(command.order), theirs(command.order)) == ("booked", ["booked"])


def test_an_end_whose_key_was_forgotten_is_what_was_wanted(participant: Any, carrier_process: Any) -> None:
    gone, void = book(), book()
    sagas = {gone.order: uuid4(), void.order: uuid4()}
    ends: list[Callable[[], Any]] = [
        lambda: participant.do(dispatch(gone.order), saga=sagas[gone.order], step="dispatch"),
        lambda: participant.undo(cancel(void.order), saga=sagas[void.order]),
    ]
    for command, end in zip((gone, void), ends, strict=True):
        participant.do(command, saga=sagas[command.order])
        carrier_process.fault("/carrier/shipments", "error_after")
        with pytest.raises(OutcomeUnknown):
            end()
        forget_keys(carrier_process, sagas[command.order])
        end()
    assert (theirs(gone.order), theirs(void.order)) == (["dispatched"], ["cancelled"])
    assert (ours(gone.order), ours(void.order)) == ("dispatched", "cancelled")


def test_the_fence_settles_a_doubtful_booking(participant: Any, carrier_process: Any) -> None:
    command, saga = book(), uuid4()
    carrier_process.fault("/carrier", "error_after")
    with pytest.raises(OutcomeUnknown):
        participant.do(command, saga=saga)
    assert participant.fence(BookShipment, saga=saga, subject=str(command.order))
    assert ours(command.order) == "booked"
    assert not participant.fence(BookShipment, saga=uuid4())


def test_an_undo_cancels_once(participant: Any, carrier_process: Any) -> None:
    command, saga = book(), uuid4()
    participant.do(command, saga=saga)
    carrier_process.fault("/carrier", "error_after")
    with pytest.raises(OutcomeUnknown):
        participant.undo(cancel(command.order), saga=saga)
    assert (ours(command.order), theirs(command.order)) == ("booked", ["cancelled"])
    for _ in range(2):
        participant.undo(cancel(command.order), saga=saga)
    assert ours(command.order) == "cancelled"
    assert OutboxMessage.objects.filter(name="shipment.shipment_cancelled").count() == 1


def test_an_undo_before_its_action_leaves_a_tombstone(participant: Any) -> None:
    command, saga = book(), uuid4()
    participant.undo(cancel(command.order), saga=saga)
    with pytest.raises(StepSuperseded):
        participant.do(command, saga=saga)
    assert (ours(command.order), theirs(command.order)) == (None, [])


def test_an_end_that_happened_at_the_carrier_already_is_what_was_wanted(
    participant: Any, carrier_process: Any
) -> None:
    command, saga = book(), uuid4()
    participant.do(command, saga=saga)
    carrier_call(carrier_process, command.order, "cancel")
    participant.undo(cancel(command.order), saga=saga)
    assert ours(command.order) == "cancelled"


def test_an_end_that_contradicts_the_carrier_is_an_error_to_be_tried_again(
    participant: Any, carrier_process: Any
) -> None:
    gone, void = book(), book()
    saga = uuid4()
    participant.do(gone, saga=saga)
    participant.do(void)
    carrier_call(carrier_process, gone.order, "dispatch")
    carrier_call(carrier_process, void.order, "cancel")
    with pytest.raises(CarrierDisagrees, match="already_dispatched"):
        participant.undo(cancel(gone.order), saga=saga)
    with pytest.raises(CarrierDisagrees, match="already_cancelled"):
        participant.do(dispatch(void.order), step="dispatch")
    assert (ours(gone.order), ours(void.order)) == ("booked", "booked")
    assert not BarrierRow.objects.filter(action="refused").exists()


@pytest.mark.parametrize("end", list(ENDS))
def test_what_has_ended_stays_as_it_has_ended_whatever_the_carrier_says(
    participant: Any, end: ShipmentState
) -> None:
    """Our rows are the last to say no, should the carrier say yes to both."""
    command = book()
    participant.do(command)
    services.end_shipments([command.order], end)
    with pytest.raises(NoShipment):
        services.end_shipments([command.order], ENDS[end])
    assert ours(command.order) == end


def test_an_order_without_a_shipment_is_an_error(participant: Any) -> None:
    with pytest.raises(NoShipment):
        participant.do(dispatch(uuid4()), step="dispatch")
    command, saga = book(), uuid4()
    participant.do(command, saga=saga)
    Shipment.objects.all().delete()
    with pytest.raises(NoShipment):
        participant.undo(cancel(command.order), saga=saga)


def test_an_invalid_request_is_a_refusal(participant: Any) -> None:
    with pytest.raises(Refused, match="weight_grams"):
        participant.do(book(weight_grams=-1))
    assert BarrierRow.objects.get().reply["code"] == "invalid_request"
