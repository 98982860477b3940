"""Brings an invoice file into the system through the services' own doors."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from celery_config.contracts.shipment import Address
from celery_config.peers import Peer
from celery_config.saga.machine import OPEN
from celery_config.saga.models import SagaInstance
from order_project import domain, services
from order_project.errors import BadLines, OrderTooLarge
from order_project.invoices import CURRENCY, Fault, Invoice, Product
from order_project.models import CatalogueProduct, Order

CLIENT = "import"
GRAMS_EACH = 20
UNLIMITED = 1_000_000_000
CHUNK = 1000
LOOK_SECONDS = 0.1

Progress = Callable[[int], None]


class Stalled(Exception):
    """Nothing moved for too long; the text says what to look at."""


@dataclass(frozen=True)
class Placement:
    """Which orders stand for the file's invoices, and which invoices the domain refused."""

    orders: list[UUID]
    repeated: int
    faults: list[Fault]


def put_catalogue(products: Sequence[Product], *, opening: int) -> None:
    """Create the products and book their opening stock (once) in inventory."""
    items = [
        {
            "sku": p.sku, "name": p.name[:200], "price": p.price, "currency": CURRENCY,
            "weight_grams": GRAMS_EACH, "active": True,
        }
        for p in products
    ]  # fmt: skip
    stock = [{"sku": p.sku, "quantity": opening} for p in products]
    with Peer("inventory") as inventory:
        for _ in inventory.post_in_chunks("/api/products/", "products", items, CHUNK):
            pass
        for _ in inventory.post_in_chunks("/api/stock/opening/", "items", stock, CHUNK):
            pass


def await_copy(products: Sequence[Product], progress: Progress, *, patience: float) -> None:
    """Wait until the order service's own copy holds the products.

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


def place(invoices: Sequence[Invoice], *, token: str, progress: Progress) -> Placement:
    """Place one order for each invoice, through the same service as the API; a second run places nothing twice."""
    customers = services.put_customers(sorted({i.customer for i in invoices}))
    orders, repeated, faults = [], 0, []
    for number, invoice in enumerate(invoices, 1):
        request = services.OrderRequest(
            customer=customers[invoice.customer],
            lines=tuple(domain.merge_lines(invoice.lines)),
            currency=CURRENCY,
            payment_token=token,
            address=address_of(invoice),
            reference=invoice.number,
        )
        try:
            placed = services.place_order(
                client=CLIENT, request=request, idempotency_key=f"invoice {invoice.number}"
            )
        except (BadLines, OrderTooLarge) as error:
            faults.append(Fault(0, invoice.number, str(error.get_codes()), str(error.detail)))
        else:
            orders.append(placed.order)
            repeated += placed.repeated
        progress(number)
    return Placement(orders, repeated, faults)


def address_of(invoice: Invoice) -> Address:
    """The file knows the country only."""
    return Address(
        name=f"Customer {invoice.customer}",
        line1=f"Invoice {invoice.number}",
        city="unknown",
        postal_code="unknown",
        country=invoice.country,
    )


def await_ends(orders: Sequence[UUID], progress: Progress, *, patience: float) -> Counter[str]:
    """Wait until every order's saga has ended or is parked; return how many ended how.

    Raises:
        Stalled: nothing moves.
    """
    subjects = [str(order) for order in orders]

    def ended() -> int:
        return len(subjects) - SagaInstance.objects.filter(subject__in=subjects, status__in=OPEN).count()

    wait_for(ended, len(subjects), progress, patience, "the services' workers and relays: orders do not move")
    return outcomes(orders)


def outcomes(orders: Sequence[UUID]) -> Counter[str]:
    """How many orders ended how: `completed`, or the status with its reason."""
    sagas = dict(Order.objects.filter(id__in=orders).values_list("saga", "cancel_code"))
    counted: Counter[str] = Counter()
    for saga, status, cause in SagaInstance.objects.filter(pk__in=sagas).values_list("pk", "status", "cause"):
        why = sagas[saga] or cause.get("code", "")
        counted[f"{status}: {why}" if why else status] += 1
    return counted


def wait_for(
    count: Callable[[], int], wanted: int, progress: Progress, patience: float, look_at: str
) -> None:
    """Wait until `count()` reaches `wanted`, as long as it keeps rising."""
    best, since = -1, time.monotonic()
    while (done := count()) < wanted:
        if done > best:
            best, since = done, time.monotonic()
            progress(done)
        if time.monotonic() - since > patience:
            raise Stalled(f"{done} of {wanted} after {patience:.0f} s without progress. Look at {look_at}.")
        time.sleep(LOOK_SECONDS)  # the database is what is watched: it has no signal to wait on
    progress(wanted)
