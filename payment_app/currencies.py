"""What the provider takes, as rows: other services keep a copy of them. The gateway's table is the source."""

from __future__ import annotations

import structlog
from django.db import transaction

from celery_config.common.money import currency_digits
from celery_config.messaging.outbox.relay import Duty
from payment_app.gateways import gateway
from payment_app.gateways.currencies import find_step
from payment_app.models import Currency

log = structlog.get_logger(__name__)
EVERY_SECONDS = 60.0


def duties() -> list[Duty]:
    """For RELAY_DUTIES: what the gateway takes is announced at once when the relay starts with another one."""
    return [Duty("currencies", run_announcement, EVERY_SECONDS)]


def run_announcement() -> None:
    announce_currencies()


@transaction.atomic
def announce_currencies() -> int:
    """Bring the rows to what the gateway takes, and return how many changed; triggers announce each of them.

    A currency that is not taken has a row, too: for its reader a row that is missing is not known yet.
    """
    steps = {code: find_step(gateway().currencies, code) for code in currency_digits()}
    wanted = {
        code: Currency(currency=code, accepted=step is not None, step=step or 1)
        for code, step in steps.items()
    }
    there = Currency.objects.in_bulk()
    new = [row for code, row in wanted.items() if code not in there]
    changed = [
        row
        for code, row in wanted.items()
        if code in there and (row.accepted, row.step) != (there[code].accepted, there[code].step)
    ]
    # Another relay may do the same.
    Currency.objects.bulk_create(new, ignore_conflicts=True)
    Currency.objects.bulk_update(changed, ["accepted", "step"])
    gone, _ = Currency.objects.exclude(pk__in=wanted).delete()
    if total := len(new) + len(changed) + gone:
        log.info("the provider's currencies were announced", changed=total)
    return total
