"""The refusals of the order service: each is an HTTP answer, with the status of its base and a stable code."""

from __future__ import annotations

from collections.abc import Sequence

from rest_framework.exceptions import PermissionDenied, Throttled

from celery_config.web.problems import Conflict, Unprocessable
from order_project.domain import LineFault


class BadLines(Unprocessable):
    """The lines cannot be ordered."""

    def __init__(self, faults: Sequence[LineFault]) -> None:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(detail=faults[0].detail + more, code=faults[0].code)
        self.faults = faults


class UnknownCustomer(Unprocessable):
    default_code = "unknown_customer"
    default_detail = "There is no such customer. Leave `customer` out to order for yourself."


class NotYourself(PermissionDenied):
    default_code = "not_yourself"
    default_detail = (
        "You may order for yourself only: leave `customer` out. Staff need the permission order.add_order."
    )


class PriceNotYours(PermissionDenied):
    default_code = "price_not_yours"
    default_detail = (
        "Only staff with the permission order.agree_price may agree on a price. Leave `unit_price` out: the"
        " catalogue's price holds."
    )


class OrderTooLarge(Unprocessable):
    default_code = "order_too_large"
    default_detail = "The order is too large to be carried; split it."


class TooManyUnderWay(Throttled):
    """A repeat of an earlier order is answered all the same."""

    default_code = "too_many_under_way"
    RETRY_SECONDS = 5

    def __init__(self) -> None:
        super().__init__(
            self.RETRY_SECONDS,
            "You have as many orders under way as you may. Wait until one has ended.",
            self.default_code,
        )


class TooLate(Conflict):
    default_code = "too_late"
    default_detail = "The order can no longer be cancelled."


class NotRefundable(Conflict):
    default_code = "not_refundable"
    default_detail = "Only a confirmed order can be refunded, and not beyond its total."


class AmountNotPayable(Unprocessable):
    default_code = "amount_not_payable"
    default_detail = "The payment provider takes and gives no such amount."


class ReferenceTaken(Conflict):
    default_code = "reference_taken"
    default_detail = "Another customer has this reference. Change that customer, or leave `reference` out."


class CustomerHasOrders(Conflict):
    default_code = "customer_has_orders"
    default_detail = "Orders refer to this customer, who therefore stays."


class OrdersUnderWay(Conflict):
    """A customer whose orders or refunds have not ended cannot be erased."""

    default_code = "orders_under_way"
    SHOWN = 5

    def __init__(self, orders: Sequence[str]) -> None:
        named = ", ".join(orders[: self.SHOWN]) + (", …" if len(orders) > self.SHOWN else "")
        super().__init__(f"Wait for {len(orders)} orders to end, or cancel them: {named}")
