"""The audit: it asks every service what it did for each order and compares the answers. It never changes anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from celery_config.broker import cluster
from celery_config.common.grouping import join_some
from celery_config.common.service_calls import OPERATOR
from celery_config.common.services import PARTICIPANTS
from celery_config.contracts.inventory import Line
from celery_config.contracts.values import digest_address
from celery_config.copies import sync
from celery_config.copies.registry import copies
from celery_config.copies.source_client import SourceClient
from celery_config.erasure.recovery import find_lost_tombstones
from celery_config.http.service_client import ServiceClient
from celery_config.messaging import epochs, retention, trouble
from celery_config.messaging.outbox.publishing import count_set_aside
from celery_config.messaging.outbox.relay import oldest_unpublished_seconds
from celery_config.saga import measures
from celery_config.saga.dsl import Saga
from celery_config.saga.engine import clock
from celery_config.saga.models import SagaInstance
from celery_config.saga.states import ENDED, OPEN, Status
from order_project import lost_lines, selectors
from order_project.domain import OrderStatus, PriceSource, RefundStatus, count_units
from order_project.erasure.data import DATA_MAP
from order_project.lost_orders import LISTS
from order_project.models import Order, Refund

CHUNK = 500
OUTBOX_LIMIT_SECONDS = 60.0
COPY_SECONDS = 10.0
MAX_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """A broken promise. `order` is empty when it concerns a whole service."""

    order: str
    what: str


@dataclass(frozen=True)
class Facts:
    """What the other services did for one order; empty when a service did nothing."""

    payment: Mapping[str, Any]
    inventory: Mapping[str, Any]
    shipment: Mapping[str, Any]


@dataclass(frozen=True)
class Refunds:
    """The refunds of one order in minor units, read before and after the other services were asked."""

    paid: int = 0
    """Paid back before they were asked."""
    possible: int = 0
    """Paid back, promised, or under way by then: payment may show up to this much."""
    settled: bool = True
    """No refund was under way."""


def run(progress: Callable[[int], None]) -> tuple[int, list[Finding]]:
    """Audit all orders and services; return the number of orders checked and the findings.

    Raises:
        ServiceCallError: a service does not answer.
    """
    peers = {name: ServiceClient(name, caller=OPERATOR) for name in PARTICIPANTS}
    checked, findings = 0, []
    for orders in iterate_orders():
        findings += check_orders(orders, peers)
        checked += len(orders)
        progress(checked)
    findings += [
        Finding("", what)
        for what in (
            *check_totals(peers),
            *check_books(peers),
            *check_outboxes(peers),
            *check_queues(),
            *check_versions(),
            *check_copies(peers),
            *check_copies_elsewhere(peers),
            *find_residue(),
            *find_strange_erasures(peers),
            *find_unknown_orders(peers),
        )
    ]
    return checked, findings


def find_warnings() -> Iterator[str]:
    """Yield what breaks no promise yet: nothing moves somewhere, or something has been open for too long."""
    for check in (
        measures.check_saga_time, measures.check_participants, measures.check_hindrances, trouble.check_messages,
        measures.check_deadlines,
    ):  # fmt: skip
        text = check()
        if not text.startswith("ok"):
            name = check.__name__.removeprefix("check_").replace("_", " ")
            yield f"{name}: {text.removeprefix('warning: ')}"


def find_questions() -> Iterator[Finding]:
    """Yield what only a human can settle; it breaks no promise, and nothing here can be compared with it."""
    for order in lost_lines.find_unsettled():
        yield Finding(order, lost_lines.LINES_LOST)


def iterate_orders() -> Iterator[list[Order]]:
    """Yield all orders in pages, oldest first."""
    last: Order | None = None
    while True:
        orders = Order.objects.prefetch_related("lines").order_by("created_at", "id")
        if last:
            orders = orders.filter(
                Q(created_at__gt=last.created_at) | Q(created_at=last.created_at, id__gt=last.id)
            )
        page = list(orders[:CHUNK])
        if not page:
            return
        yield page
        last = page[-1]


def check_orders(orders: Sequence[Order], peers: Mapping[str, ServiceClient]) -> list[Finding]:
    # Status is read before the facts, since an order that has ended does not change afterwards.
    carried = selectors.read_flows(orders)
    ids = [str(o.id) for o in orders]
    refunds_before = read_refunds(orders)
    facts = {
        name: peer.post("/api/facts/", {"orders": ids, "totals": False})["facts"]
        for name, peer in peers.items()
    }
    refunds = summarize_refunds(refunds_before, read_refunds(orders))
    now = clock.now()
    without_lines = lost_lines.find_lost(ids)
    findings = []
    for order in orders:
        of_order = Facts(**{name: found.get(str(order.id), {}) for name, found in facts.items()})
        row = carried.get(order.id)
        late = row is not None and row.status == Status.RUNNING and now > row.deadline_at
        lines = count_units(Line(sku=line.sku, quantity=line.quantity) for line in order.lines.all())
        of_refunds = refunds.get(order.id, Refunds())
        if lines or str(order.id) not in without_lines:
            findings += [Finding(str(order.id), what) for what in check_prices(order, of_order.inventory)]
        for what in check_order(order, lines, row.status if row else None, of_order, of_refunds, late=late):
            findings.append(Finding(str(order.id), what))
    return findings


def read_refunds(orders: Sequence[Order]) -> list[Refund]:
    return list(Refund.objects.filter(order__in=[o.id for o in orders]))


def summarize_refunds(before: Sequence[Refund], after: Sequence[Refund]) -> dict[UUID, Refunds]:
    """Return what is true of each order's refunds at some moment between the two readings."""
    earlier = {refund.id: refund.status for refund in before}
    rows: dict[UUID, list[Refund]] = defaultdict(list)
    for refund in after:
        rows[refund.order_id].append(refund)
    return {
        order: Refunds(
            paid=sum(r.amount for r in refunds if earlier.get(r.id) == RefundStatus.PAID),
            possible=sum(r.amount for r in refunds if earlier.get(r.id) != RefundStatus.REFUSED),
            settled=all(earlier.get(r.id) in (RefundStatus.PAID, RefundStatus.REFUSED) for r in refunds),
        )
        for order, refunds in rows.items()
    }


def check_order(
    order: Order, lines: Mapping[str, int], status: str | None, facts: Facts, refunds: Refunds, *, late: bool
) -> Iterator[str]:
    """Yield every broken promise of one order."""
    payment = facts.payment
    yield from check_refunds(payment, refunds)
    if status in ENDED and refunds.settled and payment.get("ledger_sum_ok") is False:
        yield "its ledger does not book what was captured and refunded"
    if status is None:
        yield "it has no saga and is not choreographed, so nothing carries it on"
    elif status == Status.COMPLETED:
        yield from check_completed(order, lines, facts)
    elif status == Status.COMPENSATED:
        yield from check_compensated(order, facts)
    elif late:
        yield "is past its deadline and still runs"


def check_prices(order: Order, stock: Mapping[str, Any]) -> Iterator[str]:
    """Yield that an order's total is not what its lines cost, or that a product never had the price of a line.

    A recovered line has another price than it had.
    """
    lines = order.lines.all()
    cost = sum(line.unit_price * line.quantity for line in lines)
    if cost != order.total and all(line.price_source != PriceSource.RECOVERED for line in lines):
        yield f"its lines cost {cost}, and its total is {order.total}"
    prices = stock.get("prices", {})
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
    payment = facts.payment
    if payment.get("state") != "captured" or payment.get("captured") != order.total:
        captured = f"{payment.get('captured', 0)} of {order.total}"
        yield f"completed, yet its payment is {payment.get('state')} with {captured} captured"
    if payment and payment.get("currency") != order.currency:
        yield f"was paid in {payment.get('currency')} instead of {order.currency}"
    stock = facts.inventory
    taken = {line["sku"]: line["quantity"] for line in stock.get("lines", ())}
    if stock.get("state") != "committed" or taken != lines:
        yield f"completed, yet its stock is {stock.get('state')} with {len(taken)} of {len(lines)} lines"
    shipment = facts.shipment
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
    payment = facts.payment
    if payment.get("state") not in (None, "voided") or payment.get("captured", 0):
        yield f"compensated, yet its payment is {payment.get('state')} with {payment.get('captured')} captured"
    if facts.inventory.get("state") not in (None, "released"):
        yield f"compensated, yet its stock is {facts.inventory.get('state')}"
    if facts.shipment.get("state") not in (None, "cancelled"):
        yield f"compensated, yet its shipment is {facts.shipment.get('state')}"


def check_totals(peers: Mapping[str, ServiceClient]) -> Iterator[str]:
    """Yield what each service reports about its own totals."""
    for name, peer in peers.items():
        for what in peer.post("/api/facts/", {"orders": []})["totals"].get("faults", ()):
            yield f"{name}: {what}"


def find_unknown_orders(peers: Mapping[str, ServiceClient]) -> Iterator[str]:
    """Yield what a participant did for an order that does not exist: orders are committed before they are announced."""
    for name, path in LISTS.items():
        for page in peers[name].get_pages(f"{path}?limit={CHUNK}"):
            theirs = {UUID(row["order"]) for row in page}
            for order in theirs - set(Order.objects.filter(pk__in=theirs).values_list("pk", flat=True)):
                yield f"{name}: did something for {order}, which is no order of ours"


def check_books(peers: Mapping[str, ServiceClient]) -> Iterator[str]:
    """Yield differences between the provider's and the carrier's books and ours."""
    for name, path in (("payment", "/api/provider-books/"), ("shipment", "/api/carrier-books/")):
        for what in peers[name].get(path)["findings"]:
            yield f"{name}: {what}"


def check_copies(peers: Mapping[str, ServiceClient]) -> Iterator[str]:
    """Yield differences of our copies from their sources; changes under way get time to arrive (rule 20, the feed)."""
    for copy in copies.values():
        found = sync.compare(SourceClient(copy, peers[copy.service]), patience=COPY_SECONDS)
        if found.differing:
            yield f"order: {found.differing} rows of {copy.name} differ from {copy.service}'s: {', '.join(found.keys)}"


def check_copies_elsewhere(peers: Mapping[str, ServiceClient]) -> Iterator[str]:
    """Yield differences of the other services' copies from their sources, as these services find them now."""
    for name, peer in peers.items():
        for copy in peer.get("/api/copies/differences/"):
            if differing := copy["differing"]:
                keys = ", ".join(copy["keys"])
                yield f"{name}: {differing} rows of {copy['name']} differ from their source's: {keys}"


def find_strange_erasures(peers: Mapping[str, ServiceClient]) -> Iterator[str]:
    """Yield who was erased elsewhere, yet not here, where every erasure begins."""
    for name in peers:
        if ids := find_lost_tombstones(name):
            shown = join_some(sorted(map(str, ids)), MAX_SHOWN)
            yield f"{name}: erased {len(ids)} customers, orders or sagas that the order service did not: {shown}"


def find_residue() -> Iterator[str]:
    """Yield what the order service still knows of erased people; other services report it with their totals."""
    for what in DATA_MAP.find_residue():
        yield f"order: {what}"


def check_outboxes(peers: Mapping[str, ServiceClient]) -> Iterator[str]:
    ours = {
        "oldest_unpublished_seconds": oldest_unpublished_seconds(),
        "set_aside": count_set_aside(),
        "recovering": epochs.is_recovering(),
        "unanswered": retention.describe_unanswered(),
    }
    for name, state in {
        "order": ours,
        **{name: peer.get("/api/outbox/") for name, peer in peers.items()},
    }.items():
        if (age := state["oldest_unpublished_seconds"]) > OUTBOX_LIMIT_SECONDS:
            yield f"{name}: an outbox row has been due for {age:.0f} s; is its relay running?"
        if aside := state.get("set_aside"):  # older versions do not say
            yield f"{name}: {aside} outbox rows are set aside, because they cannot be sent; see the admin's outbox"
        if state.get("recovering"):
            yield f"{name}: its database was restored, and `./manage.py {name} recover` is not done"
        if unanswered := state.get("unanswered"):
            yield f"{name}: {unanswered}"


def check_queues() -> Iterator[str]:
    """Yield queues that lack members or hold dead letters, where RabbitMQ's management API is known."""
    if settings.BROKER_API:
        try:
            faults = cluster.find_faults(settings.BROKER_API)
        except cluster.BrokerApiError as error:
            faults = [f"nobody knows the members of the queues: {error}"]
        for what in faults:
            yield f"broker: {what}"


def check_versions() -> Iterator[str]:
    """Yield open sagas of a version that this code does not define."""
    versions = (
        SagaInstance.objects.filter(status__in=[*OPEN, Status.PARKED])
        .values_list("name", "version")
        .distinct()
    )
    for name, version in versions.order_by():
        if (name, version) not in Saga.registry:
            yield f"order: {name} version {version} still runs, and no definition of it is left"
