"""The audit: it asks every service what it did for each order and compares the answers. It never changes anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from celery_config.broker import cluster
from celery_config.common.grouping import join_some
from celery_config.common.service_calls import OPERATOR
from celery_config.common.services import PARTICIPANTS
from celery_config.contracts.inventory import Line
from celery_config.copies import sync
from celery_config.copies.registry import Copy, copies
from celery_config.copies.source_client import SourceClient
from celery_config.erasure.recovery import find_lost_tombstones
from celery_config.http.service_client import ServiceCallError, ServiceClient, ServiceSilent, read_answer
from celery_config.messaging import epochs, retention, trouble
from celery_config.messaging.outbox.relay import oldest_unpublished_seconds
from celery_config.messaging.outbox.set_aside import count_set_aside
from celery_config.saga import measures
from celery_config.saga.engine import clock
from celery_config.saga.operations.ended_sagas import check_ended
from celery_config.saga.states import Status
from order_project import lost_lines, selectors
from order_project.audit_rules import ASKED, Facts, Refunds, ToldFacts, check_order, check_prices, find_all
from order_project.domain import RefundStatus, count_units
from order_project.erasure.data import DATA_MAP
from order_project.lost_orders import LISTS
from order_project.models import Order, Refund
from order_project.sagas.forget_customer import ForgetCustomer
from order_project.sagas.place_order import PlaceOrder

CHUNK = 500
OUTBOX_LIMIT_SECONDS = 60.0
COPY_SECONDS = 10.0
MAX_SHOWN = 3
BOOKS = {"payment": "/api/provider-books/", "shipment": "/api/carrier-books/"}


@dataclass(frozen=True)
class Finding:
    """A broken promise. `order` is empty when it concerns a whole service."""

    order: str
    what: str


@dataclass(frozen=True)
class Unchecked(Finding):
    """A part of the audit that could not be done, because a service does not answer."""


class Peer(ServiceClient):
    """Another service; one that gave no answer is not waited for again."""

    silence = ""

    def call(self, method: str, path: str, **options: Any) -> Any:
        if self.silence:
            raise ServiceSilent(self.silence)
        try:
            return super().call(method, path, **options)
        except ServiceSilent as error:
            self.silence = str(error)
            raise


def run(progress: Callable[[int], None]) -> tuple[int, list[Finding]]:
    """Audit all orders and services; return the number of orders checked and the findings.

    A service that does not answer harms its own part only: this is `Unchecked`, and the rest is checked.
    """
    peers = {name: Peer(name, caller=OPERATOR) for name in PARTICIPANTS}
    answering: dict[str, ServiceClient] = {name: peers[name] for name in ASKED}
    checked, findings = 0, list[Finding]()
    for orders in iterate_orders():
        findings += check_orders(orders, answering)
        checked += len(orders)
        progress(checked)
    ours = (*check_own_outbox(), *check_queues(), *check_definitions(), *find_residue())
    findings += [Finding("", what) for what in ours]
    for part, check, asked in (
        ("its totals", check_totals, ASKED), ("the books of its provider or carrier", check_books, ASKED),
        ("its outbox", check_outbox, PARTICIPANTS), ("orders that are not ours", find_unknown_orders, ASKED),
        ("its copies", check_their_copies, PARTICIPANTS), ("whom it erased", find_strange_erasures, PARTICIPANTS),
    ):  # fmt: skip
        for name in asked:
            findings += check_part(f"{name}: {part}", partial(check, name, peers[name]))
    for copy in copies.values():
        findings += check_part(f"order: the copy {copy.name}", partial(check_copy, copy, peers[copy.service]))
    return checked, findings


def check_sagas() -> tuple[int, list[Finding]]:
    """Audit the sagas that carry no order, such as refunds; return their number and the findings.

    Those of erasures have rules of their own: a service whose database was set back erases again what it had erased,
    and has no barrier row of it.
    """
    found = check_ended(without=[PlaceOrder.name, ForgetCustomer.name])
    findings = [Finding("", what) for what in found.findings]
    findings += [
        Unchecked("", f"{name}: what it did for other sagas: not checked: it does not answer")
        for name in sorted(found.silent)
    ]
    return found.checked, findings


def check_part(part: str, check: Callable[[], Iterator[str]]) -> list[Finding]:
    """Do a part of the audit that asks another service."""
    found: list[Finding] = []
    try:
        found += (Finding("", what) for what in check())
    except ServiceCallError as error:
        found.append(Unchecked("", f"{part}: not checked: {error}"))
    return found


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


def check_orders(orders: Sequence[Order], peers: dict[str, ServiceClient]) -> list[Finding]:
    """Check these orders against what the other services say.

    Args:
        peers: those that answer; one that does not is left out from here on.
    """
    # Status is read before the facts, since an order that has ended does not change afterwards.
    carried = selectors.read_flows(orders)
    ids = [str(o.id) for o in orders]
    asked = {"orders": ids, "totals": False}
    refunds_before = read_refunds(orders)
    facts: dict[str, Mapping[str, Any]] = {}
    findings: list[Finding] = []
    for name, peer in [*peers.items()]:
        try:
            facts[name] = read_answer(name, ToldFacts, peer.post("/api/facts/", asked)).facts
        except ServiceCallError as error:
            del peers[name]
            findings.append(
                Unchecked("", f"{name}: what it did for orders from {ids[0]} on: not checked: {error}")
            )
    refunds = summarize_refunds(refunds_before, read_refunds(orders))
    now = clock.now()
    without_lines = lost_lines.find_lost(ids)
    for order in orders:
        of_order = Facts(**{name: found.get(str(order.id), {}) for name, found in facts.items()})
        row = carried.get(order.id)
        late = row is not None and row.status == Status.RUNNING and now > row.deadline_at
        lines = count_units(Line(sku=line.sku, quantity=line.quantity) for line in order.lines.all())
        of_refunds = refunds.get(order.id, Refunds())
        checks = [check_order(order, lines, row.status if row else None, of_order, of_refunds, late=late)]
        if lines or str(order.id) not in without_lines:
            checks.insert(0, check_prices(order, of_order.inventory))
        findings += (Finding(str(order.id), what) for what in find_all(checks))
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


def check_totals(name: str, peer: ServiceClient) -> Iterator[str]:
    """Yield what a service reports about its own totals."""
    for what in peer.post("/api/facts/", {"orders": []})["totals"].get("faults", ()):
        yield f"{name}: {what}"


def find_unknown_orders(name: str, peer: ServiceClient) -> Iterator[str]:
    """Yield what a participant did for an order that does not exist: orders are committed before they are announced."""
    for page in peer.get_pages(f"{LISTS[name]}?limit={CHUNK}"):
        theirs = {UUID(row["order"]) for row in page}
        for order in theirs - set(Order.objects.filter(pk__in=theirs).values_list("pk", flat=True)):
            yield f"{name}: did something for {order}, which is no order of ours"


def check_books(name: str, peer: ServiceClient) -> Iterator[str]:
    """Yield differences between a provider's or carrier's books and ours."""
    if path := BOOKS.get(name):
        for what in peer.get(path)["findings"]:
            yield f"{name}: {what}"


def check_copy(copy: Copy, peer: ServiceClient) -> Iterator[str]:
    """Yield differences of a copy of ours from its source; changes under way get time to arrive (rule 20, the feed)."""
    found = sync.compare(SourceClient(copy, peer), patience=COPY_SECONDS)
    if found.differing:
        yield f"order: {found.differing} rows of {copy.name} differ from {copy.service}'s: {', '.join(found.keys)}"


def check_their_copies(name: str, peer: ServiceClient) -> Iterator[str]:
    """Yield differences of another service's copies from their sources, as it finds them now."""
    for copy in peer.get("/api/copies/differences/"):
        if differing := copy["differing"]:
            keys = ", ".join(copy["keys"])
            yield f"{name}: {differing} rows of {copy['name']} differ from their source's: {keys}"


def find_strange_erasures(name: str, peer: ServiceClient) -> Iterator[str]:
    """Yield who was erased elsewhere, yet not here, where every erasure begins."""
    if ids := find_lost_tombstones(peer):
        shown = join_some(sorted(map(str, ids)), MAX_SHOWN)
        yield f"{name}: erased {len(ids)} customers, orders or sagas that the order service did not: {shown}"


def find_residue() -> Iterator[str]:
    """Yield what the order service still knows of erased people; other services report it with their totals."""
    for what in DATA_MAP.find_residue():
        yield f"order: {what}"


def check_own_outbox() -> Iterator[str]:
    return describe_outbox(
        "order",
        {
            "oldest_unpublished_seconds": oldest_unpublished_seconds(),
            "set_aside": count_set_aside(),
            "recovering": epochs.is_recovering(),
            "unanswered": retention.describe_unanswered(),
        },
    )


def check_outbox(name: str, peer: ServiceClient) -> Iterator[str]:
    return describe_outbox(name, peer.get("/api/outbox/"))


def describe_outbox(name: str, state: Mapping[str, Any]) -> Iterator[str]:
    if (age := state["oldest_unpublished_seconds"]) > OUTBOX_LIMIT_SECONDS:
        yield f"{name}: an outbox row has been due for {age:.0f} s; is its relay running?"
    if aside := state.get("set_aside"):  # older versions do not say
        yield f"{name}: {aside} outbox rows are set aside, because they cannot be sent; see the admin's outbox"
    if state.get("recovering"):
        yield f"{name}: its database was restored, and ./manage.py {name} recover is not done"
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


def check_definitions() -> Iterator[str]:
    """Yield open sagas that no definition of this code knows, whether or not a newer worker may know them."""
    if found := measures.check_definitions():
        yield f"order: {found.removeprefix('warning: ')}"
