"""The import of invoices: each becomes one order, through the same services as the API, and only once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from uuid import UUID

from rest_framework.exceptions import APIException

from celery_config.common.address_parts import find_missing_parts
from celery_config.common.grouping import split_chunks
from celery_config.common.service_calls import OPERATOR
from celery_config.contracts.inventory import MAX_NAME
from celery_config.contracts.shipment import Address
from celery_config.errors import SagaPaused
from celery_config.http.service_client import ServiceClient
from celery_config.saga.models import SagaInstance
from celery_config.saga.states import OPEN
from celery_config.web.idempotency_keys import KeyInFlight, KeyReused
from order_project import domain, placing, selectors, services
from order_project.domain import Flow, RequestLine
from order_project.importing.invoices import CURRENCY, GRAMS_EACH, Fault, Invoice, Product
from order_project.models import CatalogueProduct, Choreography, Order
from order_project.requests import OrderRequest, OrderSubmission, Placed, PlacingResult

CLIENT = "import"
UNLIMITED = 1_000_000_000
CHUNK = 1000
PAGE = 500
AT_ONCE = 25
"""Orders placed in one transaction: enough to save round trips, and few enough that workers begin at once."""
LOOK_SECONDS = 0.1
PLACED_DIFFERENTLY = (
    "an earlier run placed an invoice of this number with other lines, prices, customer, country or payment token;"
    " its order stands"
)

Progress = Callable[[int], None]


class Prices(StrEnum):
    """Whose prices the orders have."""

    INVOICE = "invoice"  # each line that of its own row
    CATALOGUE = "catalogue"  # a product that is new there has the first one of the file


class Stalled(Exception):
    """Nothing moved for too long; the text says which process to look at."""


class PlacingStopped(Exception):
    """New orders are held up; `placement` has what was placed before, and nothing else was."""

    def __init__(self, why: Exception, placement: Placement) -> None:
        super().__init__(str(why))
        self.placement = placement


@dataclass
class Placement:
    """The orders of the file's invoices, and the invoices that were refused."""

    accepted: dict[UUID, Invoice] = field(default_factory=dict)
    """By the id of the order."""
    repeated: int = 0
    faults: list[Fault] = field(default_factory=list)

    @property
    def orders(self) -> list[UUID]:
        return list(self.accepted)


@dataclass(frozen=True)
class Upload:
    """How many products were new, and how many of those have a name that was cut.

    Of the others, that inventory had already, how many have another price or currency there than in the file.
    """

    new: int
    cut: int
    existing: int
    priced_differently: int


def upload_catalogue(products: Sequence[Product], *, opening: int) -> Upload:
    """Create the products that inventory does not have, each with this opening stock."""
    inventory = ServiceClient("inventory", caller=OPERATOR)
    pages = inventory.get_pages(f"/api/products/?limit={PAGE}")
    there = {row["sku"]: (row["price"], row["currency"]) for page in pages for row in page}
    new = [p for p in products if p.sku not in there]
    items = [
        {
            "sku": p.sku, "name": p.name[:MAX_NAME], "price": p.price, "currency": CURRENCY,
            "weight_grams": GRAMS_EACH, "active": True, "opening_stock": opening,
        }
        for p in new
    ]  # fmt: skip
    # A product that someone else creates in between stays as that one made it.
    answers = [
        inventory.post("/api/products/", {"products": some, "only_new": True})
        for some in split_chunks(items, CHUNK)
    ]
    created = sum(answer["created"] for answer in answers)
    return Upload(
        new=created,
        cut=sum(len(p.name) > MAX_NAME for p in new),
        existing=len(products) - created,
        priced_differently=sum(
            there.get(p.sku, (p.price, CURRENCY)) != (p.price, CURRENCY) for p in products
        ),
    )


def wait_for_copy(products: Sequence[Product], progress: Progress, *, patience: float) -> None:
    """Wait until the order service's copy holds the products.

    Args:
        patience: seconds without any progress after which it gives up.

    Raises:
        Stalled: the events do not come.
    """
    skus = [p.sku for p in products]
    wait_for(
        lambda: CatalogueProduct.objects.filter(sku__in=skus).count(),
        len(skus),
        progress,
        patience,
        "inventory's relay and the order service's worker: product events do not arrive",
    )


def place_invoices(
    invoices: Sequence[Invoice],
    *,
    token: str,
    progress: Progress,
    flow: Flow = Flow.ORCHESTRATED,
    prices: Prices = Prices.INVOICE,
) -> Placement:
    """Place one order for each invoice; a second run places none twice.

    Raises:
        PlacingStopped: new orders are paused, or another import is placing the same ones.
    """
    customers = services.ensure_customers(sorted({i.customer for i in invoices}))
    placement = Placement()
    for start in range(0, len(invoices), AT_ONCE):
        some = invoices[start : start + AT_ONCE]
        requests = [build_request(i, customers[i.customer], token, flow, prices) for i in some]
        try:
            outcomes = place_requests(requests)
        except (SagaPaused, KeyInFlight) as error:
            raise PlacingStopped(error, placement) from error
        for invoice, outcome in zip(some, outcomes, strict=True):
            if isinstance(outcome, Placed):
                placement.accepted[outcome.order] = invoice
                placement.repeated += outcome.repeated
            else:
                placement.faults.append(describe_refusal(invoice, outcome))
        progress(start + len(some))
    return placement


def place_requests(requests: Sequence[OrderRequest]) -> list[PlacingResult]:
    """Place these orders. One that the release before placed, whose addresses had made-up parts, is a repeat, too."""
    outcomes = submit_requests(requests)
    taken = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, KeyReused)]
    if not taken:
        return outcomes
    earlier = [replace(requests[n], address=build_earlier_address(requests[n])) for n in taken]
    for number, outcome in zip(taken, submit_requests(earlier), strict=True):
        outcomes[number] = outcome
    return outcomes


def submit_requests(requests: Sequence[OrderRequest]) -> list[PlacingResult]:
    submissions = [OrderSubmission(each, f"invoice {each.reference}") for each in requests]
    return placing.place_orders(client=CLIENT, submissions=submissions)


def build_request(invoice: Invoice, customer: UUID, token: str, flow: Flow, prices: Prices) -> OrderRequest:
    lines = [
        line if prices is Prices.INVOICE else RequestLine(sku=line.sku, quantity=line.quantity)
        for line in invoice.lines
    ]
    return OrderRequest(
        customer=customer,
        lines=tuple(domain.merge_request_lines(lines)),
        currency=CURRENCY,
        payment_token=token,
        address=build_address(invoice),
        reference=invoice.number,
        flow=flow,
    )


def find_differences(accepted: Mapping[UUID, Invoice]) -> list[int]:
    """Return how much more each order costs than its invoice, in minor units, for those that differ."""
    totals = Order.objects.filter(pk__in=accepted).values_list("pk", "total")
    return [more for order, total in totals if (more := total - accepted[order].total)]


def list_unplaced(invoices: Sequence[Invoice], placement: Placement, why: str) -> list[Fault]:
    """Return for each invoice that was neither placed nor refused that the import stopped before it."""
    known = {i.number for i in placement.accepted.values()} | {fault.invoice for fault in placement.faults}
    return [Fault(0, i.number, "not_placed", why) for i in invoices if i.number not in known]


def describe_refusal(invoice: Invoice, error: APIException) -> Fault:
    if isinstance(error, KeyReused):
        return Fault(0, invoice.number, "already_imported_differently", PLACED_DIFFERENTLY)
    return Fault(0, invoice.number, str(error.get_codes()), str(error.detail))


def build_address(invoice: Invoice) -> Address:
    """Return the invoice's address, of which the file knows the country only. It is incomplete: nothing is made up."""
    return Address(
        name=f"Customer {invoice.customer}", line1="", city="", postal_code="", country=invoice.country
    )


def build_earlier_address(request: OrderRequest) -> Address:
    """Return the address that the release before made up for an invoice."""
    line1 = f"Invoice {request.reference}"
    return replace(request.address, line1=line1, city="unknown", postal_code="unknown")


def count_incomplete(orders: Collection[UUID]) -> int:
    """Return how many of these orders have an address that lacks what its country requires."""
    addresses = Order.objects.filter(pk__in=orders).values_list("address", flat=True)
    return sum(bool(find_missing_parts(address)) for address in addresses)


def wait_for_ends(orders: Sequence[UUID], progress: Progress, *, patience: float) -> Counter[str]:
    """Wait until every order has come to its end or is parked; return how many ended how.

    Raises:
        Stalled: nothing moves.
    """
    subjects = [str(order) for order in orders]

    def ended() -> int:
        open_sagas = SagaInstance.objects.filter(subject__in=subjects, status__in=OPEN).count()
        others = Choreography.objects.filter(pk__in=orders, status__in=OPEN).count()
        return len(subjects) - open_sagas - others

    wait_for(ended, len(subjects), progress, patience, "the services' workers and relays: orders do not move")
    return count_outcomes(orders)


def count_outcomes(orders: Sequence[UUID]) -> Counter[str]:
    """Count the orders by outcome: `completed`, or the status with its reason."""
    found = list(Order.objects.filter(id__in=orders))
    carried = selectors.read_flows(found)
    counted: Counter[str] = Counter()
    for order in found:
        row = carried[order.id]
        why = order.cancel_code or row.cause.get("code", "")
        counted[f"{row.status}: {why}" if why else row.status] += 1
    return counted


def wait_for(
    count: Callable[[], int], wanted: int, progress: Progress, patience: float, look_at: str
) -> None:
    """Wait until `count()` reaches `wanted`.

    Raises:
        Stalled: it did not rise for `patience` seconds.
    """
    best, since = -1, time.monotonic()
    while (done := count()) < wanted:
        if done > best:
            best, since = done, time.monotonic()
            progress(done)
        if time.monotonic() - since > patience:
            raise Stalled(f"{done} of {wanted} after {patience:.0f} s without progress. Look at {look_at}.")
        time.sleep(LOOK_SECONDS)  # other processes' rows are watched, and a table gives no signal
    progress(wanted)
