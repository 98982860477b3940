"""The three participants as the audit and the proof see them, faked at the HTTP boundary."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
from django.conf import settings as django_settings

from celery_config.common.services import PARTICIPANTS
from celery_config.contracts.base import encode
from celery_config.contracts.values import digest_address
from celery_config.copies.readers import CopyReader, stream_rows
from celery_config.copies.registry import copies
from tests.service.copies_source import SourceInMemory
from tests.service.order.goods import HEART

if TYPE_CHECKING:
    from tests.service.order.conftest import Placed


class SourceOf:
    """The source of a copy: it has the rows that our copy held when a test began."""

    def __init__(self, name: str) -> None:
        self.source = SourceInMemory(copies[name])
        for entry in stream_rows(CopyReader(self.source.copy), None, None):
            self.source.memory.rows[entry.key] = entry

    def told(self, what: str, body: dict[str, Any]) -> Any:
        return encode(self.source.post(what, Any, **body))


class Services:
    """The three participants as the audit sees them: honest, until a test says otherwise."""

    def __init__(self) -> None:
        self.facts: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in PARTICIPANTS}
        self.faults: dict[str, list[str]] = {name: [] for name in PARTICIPANTS}
        self.books: dict[str, list[str]] = {"payment": [], "shipment": []}
        self.strangers: dict[str, list[str]] = {name: [] for name in PARTICIPANTS}
        self.lag = dict.fromkeys(PARTICIPANTS, 0.0)
        self.set_aside = dict.fromkeys(PARTICIPANTS, 0)
        self.differing: dict[str, list[str]] = {name: [] for name in PARTICIPANTS}
        self.erased: dict[str, list[str]] = {name: [] for name in PARTICIPANTS}
        self.unanswered = dict.fromkeys(PARTICIPANTS, "")
        self.catalogue, self.currencies = SourceOf("catalogue_product"), SourceOf("payable_currency")
        self.away = ""
        self.asked: list[tuple[str, str]] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.names = {httpx.URL(django_settings.SERVICE_URLS[name]).port: name for name in PARTICIPANTS}

    def answer(self, request: httpx.Request) -> httpx.Response:
        service = self.names[request.url.port]
        self.asked.append((service, request.url.path))
        if service == self.away:
            raise httpx.ConnectError("nobody listens")
        match request.url.path:
            case "/api/facts/":
                return httpx.Response(200, json=self.facts_for(service, json.loads(request.content)))
            case "/api/provider-books/" | "/api/carrier-books/":
                return httpx.Response(200, json={"findings": self.books[service]})
            case "/api/payments/" | "/api/reservations/" | "/api/shipments/":
                return httpx.Response(200, json=self.page(service, request))
            case "/api/outbox/":
                state = {
                    "oldest_unpublished_seconds": self.lag[service],
                    "set_aside": self.set_aside[service],
                    "unanswered": self.unanswered[service],
                }
                return httpx.Response(200, json=state)
            case "/api/copies/differences/":
                keys = self.differing[service]
                return httpx.Response(200, json=[{"name": "customer", "differing": len(keys), "keys": keys}])
            case "/api/forgotten/":
                rows = [{"id": each} for each in self.erased[service]]
                return httpx.Response(200, json={"results": rows, "next": None})
            case "/api/published/product/pieces/" | "/api/published/product/rows/":
                what = request.url.path.split("/")[-2]
                return httpx.Response(200, json=self.catalogue.told(what, json.loads(request.content)))
            case "/api/published/currency/pieces/" | "/api/published/currency/rows/":
                what = request.url.path.split("/")[-2]
                return httpx.Response(200, json=self.currencies.told(what, json.loads(request.content)))
        return httpx.Response(404)

    def page(self, service: str, request: httpx.Request) -> dict[str, Any]:
        """One order a page, to be followed to the end."""
        number = int(request.url.params.get("page", 0))
        rows = [{"order": order} for order in [*self.facts[service], *self.strangers[service]]]
        more = str(request.url.copy_set_param("page", number + 1)) if number + 1 < len(rows) else None
        return {"results": rows[number : number + 1], "next": more}

    def facts_for(self, service: str, asked: dict[str, Any]) -> dict[str, Any]:
        known = self.facts[service]
        answer: dict[str, Any] = {
            "facts": {order: known[order] for order in asked["orders"] if order in known}
        }
        self.meanwhile()
        if asked.get("totals", True):
            answer["totals"] = {"faults": self.faults[service]}
        return answer

    def did(self, service: str, placed: Placed, **facts: Any) -> None:
        """Change what a service says it did for an order."""
        self.facts[service].setdefault(str(placed.id), {}).update(facts)

    def forgot(self, service: str, placed: Placed) -> None:
        del self.facts[service][str(placed.id)]

    def carried_out(self, placed: Placed) -> None:
        """Everything was done for the order."""
        order = placed.order
        self.did(
            "payment",
            placed,
            state="captured",
            amount=order.total,
            captured=order.total,
            currency="EUR",
            refunded=0,
            refunds_open=0,
            ledger_sum_ok=True,
        )
        lines = [{"sku": HEART, "quantity": 7}]
        self.did("inventory", placed, state="committed", lines=lines, prices=self.prices(placed, 255, 300))
        self.did(
            "shipment",
            placed,
            state="dispatched",
            weight_grams=order.weight_grams,
            address_digest=digest_address(order.address),
        )

    def prices(self, placed: Placed, *amounts: int, hours: int = -1) -> dict[str, Any]:
        """The prices that the product has had; all of them are known from some hours after the order on."""
        since = placed.order.created_at + timedelta(hours=hours)
        return {HEART: {"since": since.isoformat(), "amounts": list(amounts)}}

    def undone(self, placed: Placed) -> None:
        """Everything was done, and undone."""
        self.carried_out(placed)
        self.did("payment", placed, state="voided", captured=0)
        self.did("inventory", placed, state="released")
        self.did("shipment", placed, state="cancelled")
