"""`./manage.py pages`: what each page, list and fragment of order's admin costs with a million orders and a bad day.

It starts a PostgreSQL of its own, fills the order service's database with ended orders, plays the bad day that
`./manage.py order rehearse` makes, as far as one service can, and asks for everything that the admin shows. The time is
the CPU's, Python's and the database server's.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from statistics import median
from typing import Any
from urllib.parse import urlencode

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from celery_config.common.arguments import parse_count, parse_text
from celery_config.common.console import progress_bars
from tests.bench.filled import FILL, FILL_BATCHES, FILL_MORE, Cost, fill_order, measure_cost, serve_order

LARGEST_BATCH = 100_000
TIMES = 3
SHOWN = 15
WORDS = ("Ada", "ada@example.com", "R-77", "SB-77", "BENCH-77", "nowhere", "Product", "1a2b3c4d")
"""What people type into a search, besides the ids of rows."""


NOT_INDEXED = ("definition",)
"""Filters by what nearly all rows share: an index for them would cost each saga a write."""


class Kind(StrEnum):
    """What is asked for; its limits are in `MOST`."""

    FRAGMENT = "fragment"
    PAGE = "page"
    SCAN = "search that no index serves"
    """By a part of a word: somebody waits for it, and the page does not ask again by itself."""


MOST = {Kind.FRAGMENT: (10, 50.0), Kind.PAGE: (25, 300.0), Kind.SCAN: (25, 2000.0)}
"""How many statements and milliseconds each may cost."""


@dataclass(frozen=True)
class Asked:
    """One address and its kind."""

    kind: Kind
    url: str


@dataclass(frozen=True)
class Answer:
    """What an address cost."""

    asked: Asked
    status: int
    size: int
    queries: int
    cost: Cost

    @property
    def is_over(self) -> bool:
        most_queries, most_time = MOST[self.asked.kind]
        return self.status != 200 or self.queries > most_queries or self.cost.total > most_time


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./manage.py pages", description=__doc__)
    parser.add_argument("--orders", type=parse_count, default=1_000_000)
    parser.add_argument("--only", type=parse_text, default="", help="addresses with this part alone")
    parser.add_argument("--list", action="store_true", help="only say what would be asked for")
    parser.add_argument("--all", action="store_true", help="show every address, and not the dearest alone")
    options = parser.parse_args(argv)
    console = Console()
    logging.disable()  # no other service answers, and the bad day fails on purpose
    with serve_order() as server:
        for script in (FILL, FILL_MORE):
            seconds = fill_order(server, script, sagas=options.orders, open=min(600, options.orders // 10))
            console.print(f"filled in {seconds:.0f} s")
        fill_order(server, FILL_BATCHES, items=min(LARGEST_BATCH, options.orders // 10))
        count_batches()
        play_bad_day()
        sum_up()
        asked = [each for each in list_addresses(make_client()) if options.only in each.url]
        if not asked:
            console.print(f"pages: no address has the part {options.only!r}; --list says which there are")
            return 2
        if options.list:
            print(*(f"{each.kind} {each.url}" for each in asked), sep="\n")
            return 0
        with progress_bars(console) as progress:
            answers = [ask(each) for each in progress.track(asked, description="pages")]
    over = [each for each in answers if each.is_over]
    for kind in Kind:
        console.print(tabulate(kind, [each for each in answers if each.asked.kind is kind], options.all))
    print(
        f"pages: {len(answers)} addresses with {options.orders:,} orders, {len(over)} over the limit",
        flush=True,
    )
    return 1 if over else 0


def play_bad_day() -> None:
    """Place the orders of the rehearsal, and let those fail and be parked that do so there; no other service runs."""
    from celery_config.messaging.models import OutboxMessage
    from celery_config.saga.causes import CauseKind
    from celery_config.saga.engine import clock, refusals, runner, watchdog
    from celery_config.saga.engine.saga_flow import SAGAS
    from celery_config.saga.models import DeadLetter
    from celery_config.sandbox.goods import CURRENCY, GOODS, SOLD_OUT
    from order_project.desk import letters, rehearsal
    from order_project.models import CatalogueProduct, Order

    for good in (*GOODS, SOLD_OUT):
        CatalogueProduct.objects.create(
            sku=good.sku, name=good.name, price=good.price, currency=CURRENCY, weight_grams=good.weight_grams,
            active=True, version=1,
        )  # fmt: skip
    cast = rehearsal.place_cast(random.Random(1))
    OutboxMessage.objects.filter(published_at__isnull=True).delete()  # as if it were published
    failure = {"code": "unknown_outcome", "reason": "the provider answered 500: out of order", "tries": 5}
    for order in Order.objects.filter(pk__in=cast):
        cause = cast[order.pk].cause
        if order.saga is None:
            continue
        if cause is CauseKind.ANSWERED:
            runner.request_stop(order.saga, code="cancelled", reason="as rehearsed")
            refusals.record_failure(order.saga, "authorize-payment", "undo", failure)
    rehearsal.park_failing(cast)
    watchdog.redrive_due(SAGAS, clock.now())
    DeadLetter.objects.create(
        reason="rejected",
        queue="shipment",
        task=letters.UNKNOWN_TASK,
        fault="unknown task",
        consequence="none",
    )


def count_batches() -> None:
    """Count the flows of each batch, as the relay does."""
    from celery_config.saga.batches.counting import count_flows
    from celery_config.saga.batches.models import Batch

    for batch in Batch.objects.all():
        count_flows(batch.pk)


def sum_up() -> None:
    """Make the sums by the minute, as the relay does all the time."""
    from celery_config.saga.sums import writing

    writing.sum_up()
    writing.sum_up()


def make_client() -> Any:
    from django.contrib.auth.models import User
    from django.test import Client

    user, _ = User.objects.get_or_create(username="ada", is_staff=True, is_superuser=True)
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(user)
    return client


def list_addresses(client: Any) -> Iterator[Asked]:
    """Yield everything that an administrator can look at: what changes something is not asked for."""
    from django.contrib import admin
    from django.urls import reverse

    page, fragment = partial(Asked, Kind.PAGE), partial(Asked, Kind.FRAGMENT)
    yield page(reverse("admin:index"))
    for app in sorted({model._meta.app_label for model in admin.site._registry}):
        yield page(reverse("admin:app_list", args=[app]))
    yield from map(fragment, list_parts())
    for word in [*WORDS, *list_ids()]:
        yield page(reverse("admin:find") + "?" + urlencode({"q": word}))
        yield fragment(reverse("admin:search") + "?" + urlencode({"s": word}))
        yield fragment(reverse("admin:order_desk_products") + "?" + urlencode({"q": word}))
    for model, model_admin in admin.site._registry.items():
        yield from list_lists(client, model)
        yield from list_row_addresses(model, model_admin)
    yield from list_causes()
    yield from list_acted()
    yield from list_batch_parts()


def list_parts() -> Iterator[str]:
    """Yield the parts of the board and of the desk."""
    from django.conf import settings
    from django.urls import reverse

    from celery_config.saga.sums.reading import Span
    from order_project.models import CatalogueProduct

    for name in settings.BOARD:
        yield reverse("admin:board", args=[name])
    for span in Span:
        yield reverse("admin:board", args=["outcomes"]) + f"?span={span.name.lower()}"
    yield reverse("admin:order_desk_orders")
    yield reverse("admin:order_desk_products")
    sku = CatalogueProduct.objects.filter(active=True).first()
    yield reverse("admin:order_desk_lines") + "?" + urlencode({"product": sku.pk if sku else ""})


def list_ids() -> list[str]:
    """Return the ids of some rows, and the ends of such ids."""
    from order_project.models import Customer, Order

    order = Order.objects.filter(saga__isnull=False, ended_at__isnull=False).first()
    customer = Customer.objects.first()
    ids = [order and order.pk, order and order.saga, customer and customer.pk]
    return [text for each in ids for text in (str(each), str(each)[-8:])]


def list_lists(client: Any, model: type[Any]) -> Iterator[Asked]:
    """Yield a list, its further pages, each order, each value of its filters, and searches."""
    from django.contrib.admin.filters import ListFilter
    from django.urls import reverse
    from unfold.contrib.filters.admin import FieldTextFilter

    page, scan = partial(Asked, Kind.PAGE), partial(Asked, Kind.SCAN)
    listed = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    yield page(listed)
    shown = getattr(client.get(listed), "context_data", {}).get("cl")
    if shown is None:  # a page of its own kind
        return
    yield page(f"{listed}?p=2")
    if shown.paginator.num_pages > 2:
        yield page(f"{listed}?p={shown.paginator.num_pages}")
    for number, name in enumerate(shown.list_display):
        if name in shown.sortable_by:
            yield page(f"{listed}?o={number}")
    for each in shown.filter_specs:
        if isinstance(each, FieldTextFilter):
            for word in ("a", "nowhere"):
                yield scan(f"{listed}?" + urlencode({each.lookup_kwarg: word}))
        elif isinstance(each, ListFilter):
            choices = [choice.get("query_string") for choice in each.choices(shown)]
            ask = scan if getattr(each, "parameter_name", "") in NOT_INDEXED else page
            yield from (ask(f"{listed}{query}") for query in choices if query)
    if shown.search_fields:
        parts = any(not str(field).endswith("__exact") for field in shown.model_admin.search_fields)
        for word in [*WORDS, *list_ids()]:
            yield (scan if parts else page)(f"{listed}?" + urlencode({"q": word}))


def list_causes() -> Iterator[Asked]:
    """Yield, for each cause for which some wait or fail, the list of these and the page of a verb for all of them."""
    from django.apps import apps

    from celery_config.saga.admin.cause import FAILING, FINGERPRINT, VERB, get_cause_url, get_view_url
    from celery_config.saga.operations.failing import read_failing
    from celery_config.saga.operations.overview import read_waiting

    causes = [(each.group.kind, {FINGERPRINT: each.group.fingerprint}) for each in read_waiting()]
    causes += [(each.kind, {FAILING: each.line}) for each in read_failing()]
    for kind, cause in causes:
        model: Any = apps.get_model(kind)
        yield Asked(Kind.PAGE, get_cause_url(model, cause))
        yield Asked(Kind.PAGE, f"{get_view_url(model, 'each')}?{urlencode({VERB: 'retry', **cause})}")


def list_acted() -> Iterator[Asked]:
    """Yield the list of what was acted on at once, and the fragment that counts what became of it."""
    from django.db.models import Min

    from celery_config.saga.admin.acted import get_acted_url
    from celery_config.saga.admin.bulk_actions import MOST_AT_ONCE
    from celery_config.saga.models import OperatorAction, SagaInstance

    first = OperatorAction.objects.filter(verb="retry").aggregate(at=Min("pk"))["at"]
    if first is not None:
        acts = f"{first}-{first + MOST_AT_ONCE - 1}"
        yield Asked(Kind.PAGE, get_acted_url(SagaInstance, acts))
        yield Asked(Kind.FRAGMENT, get_acted_url(SagaInstance, acts, "acted"))


def list_batch_parts() -> Iterator[Asked]:
    """Yield the lists to which the numbers of a batch's page lead."""
    from celery_config.saga.admin.batches import find_part
    from celery_config.saga.batches.models import Batch
    from celery_config.saga.batches.reading import read_parts

    for batch in Batch.objects.order_by("pk")[:1]:
        yield from (Asked(Kind.PAGE, find_part(batch, part)) for part in read_parts(batch))


def list_row_addresses(model: type[Any], model_admin: Any) -> Iterator[Asked]:
    """Yield the pages and fragments of one row, or of one of each status."""
    from django.urls import NoReverseMatch, reverse

    if model._meta.proxy:
        return
    rows = model._default_manager.order_by(model._meta.pk.name)
    kinds = [rows]
    for name in {field.name for field in model._meta.fields} & {"status", "state"}:
        kinds = [rows.filter(**{name: value}) for value, _ in model._meta.get_field(name).flatchoices]
    found = [row for kind in kinds if (row := kind.first())]
    for pattern in model_admin.get_urls():
        if "object_id" not in str(pattern.pattern) or not pattern.name or pattern.name.endswith("_delete"):
            continue
        for row in found:
            try:
                url = reverse(f"admin:{pattern.name}", args=[row.pk])
            except NoReverseMatch:
                continue
            is_fragment = pattern.name.endswith(("_story", "_progress"))
            yield Asked(Kind.FRAGMENT if is_fragment else Kind.PAGE, url)


def ask(asked: Asked) -> Answer:
    """Ask for it until what is cached is cached, count its statements, and return what it costs from then on."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = make_client()
    client.get(asked.url, follow=True)
    with CaptureQueriesContext(connection) as statements:
        answer = client.get(asked.url)
    queries = len(statements.captured_queries)
    costs = [measure_cost(lambda: client.get(asked.url))]
    if costs[0].total < 10 * MOST[asked.kind][1]:
        costs += [measure_cost(lambda: client.get(asked.url)) for _ in range(TIMES - 1)]
    cost = Cost(median(each.own for each in costs), median(each.server for each in costs))
    # A page that does not fit the row leads to another one, and is no page.
    status = 200 if answer.status_code in (302, 403, 404, 405) else answer.status_code
    return Answer(asked, status, len(answer.content), queries, cost)


def tabulate(kind: Kind, answers: Sequence[Answer], whole: bool) -> Table:
    """Show the dearest addresses of a kind."""
    dearest = sorted(answers, key=lambda each: (not each.is_over, -each.cost.total))
    shown = dearest if whole else [each for n, each in enumerate(dearest) if n < SHOWN or each.is_over]
    queries, time = MOST[kind]
    title = f"{len(answers)} of kind {kind}: at most {queries} statements, {time:.0f} ms"
    table = Table(
        "address", "statements", "Python, ms", "PostgreSQL, ms", "kB", "", box=MARKDOWN, title=title
    )
    for each in shown:
        table.add_row(
            each.asked.url, str(each.queries), f"{each.cost.own:.1f}", f"{each.cost.server:.1f}",
            f"{each.size / 1000:.1f}", "over" if each.is_over else "",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
