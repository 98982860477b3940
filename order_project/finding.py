"""Finds the order that a person names at the terminal."""

from __future__ import annotations

from django.db.models import Q

from celery_config.common.identifiers import parse_uuid
from celery_config.saga.models import SagaInstance
from celery_config.web.search import find_keys, match_ending, parse_ending
from order_project.models import Order


class OrderNotFound(Exception):
    """There is no such order, or there are several."""


def find_order(name: str) -> Order:
    """Return the order with this id, with the saga of this id, or with this number in another system.

    The end of an id that pages show will do, where only one order has it.

    Raises:
        OrderNotFound: there is none, or several are meant.
    """
    named, ending = parse_uuid(name), parse_ending(name)
    wanted = Q(pk=named) | Q(saga=named) if named else Q(reference=name)
    found = [*Order.objects.filter(wanted)[:1]] if name else []
    if ending and not found:
        sagas = find_keys(SagaInstance, match_ending(["id"], ending))
        found = [*Order.objects.filter(match_ending(["id"], ending) | Q(saga__in=sagas))[:2]]
    if len(found) > 1:
        raise OrderNotFound(f"Several orders end in {ending!r}: give the whole id.")
    if not found:
        raise OrderNotFound(f"There is no order {name[:100]!r}.")
    return found[0]
