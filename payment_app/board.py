"""Payment's part of the board: the money that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, Min, Sum
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from celery_config.common.money import money
from celery_config.web.board import GOOD, LOOK, TILES, Section, Tile, find_list, needs
from celery_config.web.columns import format_ago
from payment_app.domain import State
from payment_app.models import Payment

SOON = timedelta(days=1)


@needs("payment.view_payment")
def show_money(request: HttpRequest) -> Iterator[Section]:
    """What is held for orders that have not ended: in each currency how much, and until when."""
    held = Payment.objects.filter(state=State.AUTHORIZED.value).order_by().values("currency")
    rows = held.annotate(n=Count("pk"), amount=Sum("amount"), until=Min("expires_at")).order_by("-n")
    tiles = [
        Tile(
            f"Held in {row['currency']}",
            money(int(row["amount"]), row["currency"]),
            format_html(
                "{} {}; the first expires {}",
                row["n"],
                "payment" if row["n"] == 1 else "payments",
                format_ago(row["until"]),
            ),
            LOOK if row["until"] < timezone.now() + SOON else GOOD,
            find_list(
                "payment_payment", state__exact=State.AUTHORIZED.value, currency__exact=row["currency"]
            ),
        )
        for row in rows
    ]
    everything = find_list("payment_payment", state__exact=State.AUTHORIZED.value)
    yield Section("Money that is held", TILES, tiles or [Tile("Held", "nothing", "", GOOD, everything)])
