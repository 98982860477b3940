"""The flows of the order service, told in prose: no database, broker or worker."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from celery_config.contracts.inventory import (
    CommitStock,
    Line,
    ReleaseStock,
    ReserveStock,
    StockCommitted,
    StockReserved,
)
from celery_config.contracts.payment import (
    AuthorizePayment,
    CapturePayment,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentRefunded,
    RefundPayment,
    VoidPayment,
)
from celery_config.contracts.shipment import (
    Address,
    BookShipment,
    CancelShipment,
    DispatchShipment,
    ShipmentBooked,
    ShipmentDispatched,
)
from celery_config.saga.dsl import Saga
from celery_config.saga.testing import Scenario, fence, given
from order_project.sagas.place_order import OrderData, PlaceOrder, PlaceOrderStockFirst
from order_project.sagas.refund_order import RefundData, RefundOrder

ORDER, CUSTOMER, PAYMENT, RESERVATION, SHIPMENT, REFUND = (UUID(int=n) for n in range(1, 7))
DATA = OrderData(
    order=ORDER,
    customer=CUSTOMER,
    amount=1999,
    currency="EUR",
    payment_token="tok_visa",
    lines=(Line(sku="85123A", quantity=6),),
    address=Address(name="Ada", line1="1 High St", city="London", postal_code="SW1", country="GB"),
    weight_grams=900,
    parcels=1,
)
AUTHORIZED = PaymentAuthorized(payment=PAYMENT, amount=1999, currency="EUR")
RESERVED = StockReserved(reservation=RESERVATION)
BOOKED = ShipmentBooked(shipment=SHIPMENT, tracking_number="SB-1")
CAPTURED = PaymentCaptured(payment=PAYMENT, captured_amount=1999)
COMMITTED = StockCommitted(reservation=RESERVATION)
DISPATCHED = ShipmentDispatched(shipment=SHIPMENT)

BEFORE: dict[type[Saga], list[tuple[Any, Any]]] = {
    PlaceOrder: [(AuthorizePayment, AUTHORIZED), (ReserveStock, RESERVED), (BookShipment, BOOKED)],
    PlaceOrderStockFirst: [(ReserveStock, RESERVED), (AuthorizePayment, AUTHORIZED), (BookShipment, BOOKED)],
}
UNDOS: dict[type[Saga], list[Any]] = {
    PlaceOrder: [fence(CapturePayment), CancelShipment, ReleaseStock, VoidPayment],
    PlaceOrderStockFirst: [fence(CapturePayment), CancelShipment, VoidPayment, ReleaseStock],
}
BOTH = pytest.mark.parametrize("flow", [PlaceOrder, PlaceOrderStockFirst])


def up_to_the_pivot(flow: type[Saga]) -> Scenario:
    order = given(flow, DATA)
    for command, reply in BEFORE[flow]:
        order.expect(command).when(reply)
    return order


def test_an_order_is_carried_from_payment_to_dispatch() -> None:
    (
        given(PlaceOrder, DATA)
        .expect(AuthorizePayment, order=ORDER, customer=CUSTOMER, amount=1999, currency="EUR", payment_token="tok_visa")
        .when(AUTHORIZED)
        .expect(ReserveStock, order=ORDER, lines=DATA.lines).when(RESERVED)
        .expect(BookShipment, order=ORDER, address=DATA.address, weight_grams=900, parcels=1).when(BOOKED)
        .expect(CapturePayment, order=ORDER, payment=PAYMENT).when(CAPTURED)
        .is_now("forward")
        .expect(CommitStock, order=ORDER, reservation=RESERVATION).when(COMMITTED)
        .expect(DispatchShipment, order=ORDER, shipment=SHIPMENT).when(DISPATCHED)
        .ends("completed")
    )  # fmt: skip


def test_version_2_holds_the_stock_first() -> None:
    """Changing the flow changes no other service: the same commands in another order."""
    (
        given(PlaceOrderStockFirst, DATA)
        .expect(ReserveStock).when_refused()
        .expect_stop([fence(CapturePayment), CancelShipment, VoidPayment, ReleaseStock])
        .ends("compensated")
    )  # fmt: skip


@BOTH
@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_refusal_undoes_everything_whatever_was_done(flow: type[Saga], done: int) -> None:
    """Rule 12: the fence first, then every undo, last to first; the log skips nothing."""
    order = given(flow, DATA)
    for command, reply in BEFORE[flow][:done]:
        order.expect(command).when(reply)
    order.expect(BEFORE[flow][done][0]).when_refused().is_now("stopping").expect_stop(UNDOS[flow]).ends(
        "compensated"
    )


@BOTH
def test_a_refused_capture_undoes_everything(flow: type[Saga]) -> None:
    up_to_the_pivot(flow).expect(CapturePayment).when_refused().expect_stop(UNDOS[flow]).ends("compensated")


@BOTH
def test_a_cancelled_order_is_stopping_until_all_is_undone(flow: type[Saga]) -> None:
    up_to_the_pivot(flow).when_cancelled().is_now("stopping").expect_stop(UNDOS[flow]).ends("compensated")


@BOTH
def test_a_cancel_that_meets_a_captured_payment_goes_forward(flow: type[Saga]) -> None:
    """Rule 13: the fence finds that the money was taken, unheard of until now."""
    (
        up_to_the_pivot(flow)
        .expect(CapturePayment).when(CAPTURED, unheard=True)
        .when_cancelled().expect_stop(UNDOS[flow])
        .when_pivot_ran().is_now("forward")
        .expect(CommitStock, reservation=RESERVATION).when(COMMITTED)
        .expect(DispatchShipment).when(DISPATCHED)
        .ends("completed")
    )  # fmt: skip


@BOTH
def test_after_the_capture_nothing_stops_an_order(flow: type[Saga]) -> None:
    """Rule 14: neither a cancel, nor a failure, nor the deadline."""
    (
        up_to_the_pivot(flow)
        .expect(CapturePayment).when(CAPTURED)
        .when_cancelled().is_now("forward")
        .expect(CommitStock).when_failed().expect_nothing().is_now("forward")
        .when_silent(past_deadline=True)
        .expect(CommitStock).when(COMMITTED)
        .expect(DispatchShipment).when(DISPATCHED)
        .ends("completed")
    )  # fmt: skip


def test_a_failure_after_the_pivot_stops_nothing() -> None:
    """Rule 14: even when nothing else was heard of the capture; its reply is collected on the way."""
    (
        up_to_the_pivot(PlaceOrder)
        .expect(CapturePayment).when(CAPTURED, unheard=True)
        .expect(CommitStock).when_failed().is_now("running")
        .when_silent()
        .expect(CapturePayment).when(CAPTURED)
        .expect(CommitStock).when(COMMITTED)
        .expect(DispatchShipment).when(DISPATCHED)
        .ends("completed")
    )  # fmt: skip


def test_what_was_lost_is_driven_again_from_the_first_unknown_step() -> None:
    """Rule 17: with the replies that later steps need."""
    (
        given(PlaceOrder, DATA)
        .expect(AuthorizePayment).when(AUTHORIZED)
        .expect(ReserveStock).when(RESERVED, unheard=True)
        .when_lost().when_silent()
        .expect(ReserveStock).when(RESERVED)
        .expect(BookShipment).when(BOOKED)
        .expect(CapturePayment, payment=PAYMENT)
    )  # fmt: skip


def test_past_its_deadline_an_order_is_stopped() -> None:
    """Rule 17."""
    given(PlaceOrder, DATA).when_lost().when_silent(past_deadline=True).expect_stop(UNDOS[PlaceOrder]).ends(
        "compensated"
    )


def test_an_undo_that_fails_does_not_keep_the_others_from_being_undone() -> None:
    """Rule 15: nothing is closed by an incomplete stop; the whole chain is driven again."""
    (
        given(PlaceOrder, DATA)
        .expect(AuthorizePayment).when_refused()
        .expect_stop(UNDOS[PlaceOrder])
        .when_undone().when_failed()
        .expect_stop([ReleaseStock, VoidPayment])
        .ends("stopping")
        .when_silent()
        .expect_stop(UNDOS[PlaceOrder])
        .ends("compensated")
    )  # fmt: skip


def test_the_last_drive_parks_and_a_human_starts_again() -> None:
    """Rules 15 and 25: a retry is a stop, fence included; a parked saga still accepts proof of its end."""
    parked = given(PlaceOrder, DATA).when_cancelled().when_undone().when_failed().when_lost()
    parked.when_silent(past_patience=True).expect_nothing().is_now("parked")
    parked.when_retried().expect_stop(UNDOS[PlaceOrder]).ends("compensated")


def test_a_refund_is_one_pivot() -> None:
    """Rule 23."""
    data = RefundData(order=ORDER, refund=REFUND, refund_amount=255, currency="EUR")
    refunded = PaymentRefunded(refund=REFUND, refunded_amount=255)
    asked = given(RefundOrder, data).expect(
        RefundPayment, order=ORDER, refund=REFUND, refund_amount=255, currency="EUR"
    )
    asked.when(refunded).ends("completed")


def test_a_refused_refund_has_nothing_to_undo() -> None:
    """Rule 23: only the fence makes sure that it never runs."""
    data = RefundData(order=ORDER, refund=REFUND, refund_amount=255, currency="EUR")
    given(RefundOrder, data).expect(RefundPayment).when_refused().expect_stop([fence(RefundPayment)]).ends(
        "compensated"
    )


class TestTheLanguageItself:
    """A sentence that is not true fails, and says what was sent."""

    @pytest.mark.parametrize(
        ("untrue", "told"),
        [
            (
                lambda: given(PlaceOrder, DATA).expect(ReserveStock),
                r"expected inventory\.reserve_stock; .*authorize_payment",
            ),
            (lambda: given(PlaceOrder, DATA).expect(AuthorizePayment, amount=1), "amount is 1999, not 1"),
            (lambda: given(PlaceOrder, DATA).ends("completed"), "expected the end of the chain"),
            (lambda: given(PlaceOrder, DATA).is_now("parked"), "the saga is running, not parked"),
            (lambda: given(PlaceOrder, DATA).when(RESERVED), "is answered by PaymentAuthorized"),
            (
                lambda: given(PlaceOrder, DATA).when_cancelled().expect_stop([VoidPayment]),
                "expected .*void_payment",
            ),
            (lambda: given(PlaceOrder, DATA).when_pivot_ran(), "expected a fence"),
        ],
    )
    def test_it_fails(self, untrue: Any, told: str) -> None:
        with pytest.raises(AssertionError, match=told):
            untrue()
