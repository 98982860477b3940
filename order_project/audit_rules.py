"""What must be true of an order: its facts from all services compared, each broken promise a sentence. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from celery_config.contracts.values import digest_address
from celery_config.saga.states import ENDED, Status
from order_project.domain import OrderStatus, PriceSource
from order_project.models import Order


@dataclass(frozen=True)
class Facts:
    """What the other services did for one order: empty when a service did nothing, None when it does not answer."""

    payment: Mapping[str, Any] | None = None
    inventory: Mapping[str, Any] | None = None
    shipment: Mapping[str, Any] | None = None


ASKED = tuple(field.name for field in fields(Facts))
"""The services that say what they did for an order. Other participants carry out other sagas."""


@dataclass(frozen=True)
class ToldFacts:
    """What a service says that it did, by order."""

    facts: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Refunds:
    """The refunds of one order in minor units, read before and after the other services were asked."""

    paid: int = 0
    """Paid back before they were asked."""
    possible: int = 0
    """Paid back, promised, or under way by then: payment may show up to this much."""
    settled: bool = True
    """No refund was under way."""


def find_all(checks: Sequence[Iterator[str]]) -> Iterator[str]:
    """Yield what the checks of one order find; a service that says nonsense of it hides no other order's findings."""
    for check in checks:
        try:
            yield from check
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            yield f"what a service says of it makes no sense: {error!r}"


def check_order(
    order: Order, lines: Mapping[str, int], status: str | None, facts: Facts, refunds: Refunds, *, late: bool
) -> Iterator[str]:
    """Yield every broken promise of one order."""
    if facts.payment is not None:
        yield from check_refunds(facts.payment, refunds)
        if status in ENDED and refunds.settled and facts.payment.get("ledger_sum_ok") is False:
            yield "its ledger does not book what was captured and refunded"
    if status is None:
        yield "it has no saga and is not choreographed, so nothing carries it on"
    elif status == Status.COMPLETED:
        yield from check_completed(order, lines, facts)
    elif status == Status.COMPENSATED:
        yield from check_compensated(order, facts)
    elif late:
        yield "is past its deadline and still runs"


def check_prices(order: Order, stock: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield that an order's total is not what its lines cost, or that a product never had the price of a line.

    A recovered line has another price than it had.
    """
    lines = order.lines.all()
    cost = sum(line.unit_price * line.quantity for line in lines)
    if cost != order.total and all(line.price_source != PriceSource.RECOVERED for line in lines):
        yield f"its lines cost {cost}, and its total is {order.total}"
    prices = (stock or {}).get("prices", {})
    for line in lines:
        known = prices.get(line.sku)
        if known is None or line.price_source != PriceSource.CATALOGUE:
            continue
        is_judged = order.created_at >= datetime.fromisoformat(known["since"])
        if is_judged and line.unit_price not in known["amounts"]:
            yield f"{line.sku} was sold at {line.unit_price}, a price that inventory never gave it"


def check_refunds(payment: Mapping[str, Any], refunds: Refunds) -> Iterator[str]:
    """Yield refunds of money that was not captured or not asked for, and paid refunds that payment does not know."""
    captured, refunded = payment.get("captured", 0), payment.get("refunded", 0)
    if refunded > captured:
        yield f"refunded {refunded} of {captured} captured"
    if refunded > refunds.possible:
        yield f"refunded {refunded}, yet refunds of {refunds.possible} were asked for"
    if refunded - payment.get("refunds_open", 0) < refunds.paid:
        yield f"refunds of {refunds.paid} are paid, yet payment gave back {refunded}"


def check_completed(order: Order, lines: Mapping[str, int], facts: Facts) -> Iterator[str]:
    if order.status != OrderStatus.CONFIRMED:
        yield f"all is done, and the order {order.status}"
    if (payment := facts.payment) is not None:
        if payment.get("state") != "captured" or payment.get("captured") != order.total:
            captured = f"{payment.get('captured', 0)} of {order.total}"
            yield f"completed, yet its payment is {payment.get('state')} with {captured} captured"
        if payment and payment.get("currency") != order.currency:
            yield f"was paid in {payment.get('currency')} instead of {order.currency}"
    if (stock := facts.inventory) is not None:
        taken = {line["sku"]: line["quantity"] for line in stock.get("lines", ())}
        if stock.get("state") != "committed" or taken != lines:
            yield f"completed, yet its stock is {stock.get('state')} with {len(taken)} of {len(lines)} lines"
    if (shipment := facts.shipment) is not None:
        if shipment.get("state") != "dispatched":
            yield f"completed, yet its shipment is {shipment.get('state')}"
        if shipment and shipment.get("weight_grams") != order.weight_grams:
            yield f"was shipped with {shipment.get('weight_grams')} g instead of {order.weight_grams}"
        yield from check_address(order, shipment)


def check_address(order: Order, shipment: Mapping[str, Any]) -> Iterator[str]:
    """Yield that the parcel went elsewhere; of an erased customer's order there is no address to compare."""
    ours, theirs = digest_address(order.address), shipment.get("address_digest")
    if ours and theirs and ours != theirs:
        yield "was shipped to another address than the order's"


def check_compensated(order: Order, facts: Facts) -> Iterator[str]:
    if order.status != OrderStatus.CANCELLED:
        yield f"all is undone, and the order {order.status}"
    if (payment := facts.payment) is not None and (
        payment.get("state") not in (None, "voided") or payment.get("captured", 0)
    ):
        yield f"compensated, yet its payment is {payment.get('state')} with {payment.get('captured')} captured"
    for what, fact, undone in (
        ("stock", facts.inventory, "released"), ("shipment", facts.shipment, "cancelled"),
    ):  # fmt: skip
        if fact is not None and fact.get("state") not in (None, undone):
            yield f"compensated, yet its {what} is {fact.get('state')}"
