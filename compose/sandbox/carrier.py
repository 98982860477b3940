"""The carrier: it books a shipment, and cancels or dispatches it once."""

from __future__ import annotations

import json
import sqlite3
import uuid
from typing import Any

import msgspec

from celery_config.common.countries import name_country
from celery_config.sandbox import words
from celery_config.sandbox.words import UNREACHABLE_COUNTRY, UNREACHABLE_POSTAL_CODE
from compose.sandbox.bodies import Booking, Empty, read
from compose.sandbox.books import Book, iso
from compose.sandbox.faults import Fault
from compose.sandbox.http import Answer, Refused, Request, Settings, Shop


def present(row: sqlite3.Row) -> dict[str, Any]:
    """Return a shipment as the carrier shows it."""
    return {
        "id": row["id"],
        "tracking_number": row["tracking_number"],
        "status": row["state"],
        "reference": row["reference"],
        "address": json.loads(row["address"]),
        "weight_grams": row["weight_grams"],
        "parcels": row["parcels"],
        "created_at": iso(row["created_at"]),
    }


SHIPMENTS = Book("shipments", "shipment", "booked", present)


def book(shop: Shop, request: Request) -> Answer:
    """POST /carrier/shipments: a booking with its tracking number."""
    body = read(request.body, Booking)
    country, postal_code = body.address.country, body.address.postal_code
    if country == UNREACHABLE_COUNTRY or postal_code.startswith(UNREACHABLE_POSTAL_CODE):
        raise Refused("address_unreachable", f"no delivery to this address in {name_country(country)}")
    limit = shop.settings.max_weight_grams
    if body.weight_grams > limit:
        reason = f"{body.weight_grams} g is over the limit of {limit} g; split the shipment"
        raise Refused("parcel_too_heavy", reason)
    number = uuid.uuid4()
    return SHIPMENTS.add(
        shop,
        f"ship_{number.hex}",
        reference=body.reference,
        tracking_number=f"SB{number.int % 10**16:016d}",
        address=json.dumps(msgspec.to_builtins(body.address)),
        weight_grams=body.weight_grams,
        parcels=body.parcels,
    )


def find_fault(request: Request, settings: Settings) -> Fault | None:
    """Return the fault of a booking: that of its address."""
    unhurried = read_second_line(request) == words.UNHURRIED
    return Fault("delay", settings.unhurried_seconds) if unhurried else None


def plan_faults(request: Request, answer: Answer, settings: Settings) -> dict[str, Fault]:
    """Return the faults of later calls about a new shipment, by their path: those of its address."""
    path = f"/carrier/shipments/{answer.body['id']}"
    match read_second_line(request):
        case words.CANCEL_FAILS:
            return {f"{path}/cancel": Fault("error_500")}
        case words.DISPATCH_FAILS:
            return {f"{path}/dispatch": Fault("error_500")}
        case words.UNHURRIED:
            return {path: Fault("delay", settings.unhurried_seconds)}
    return {}


def read_second_line(request: Request) -> object:
    """Return the second line of a booking's address, whatever was sent."""
    address = request.body.get("address")
    return address.get("line2") if isinstance(address, dict) else None


def cancel(shop: Shop, request: Request) -> Answer:
    """POST /carrier/shipments/{id}/cancel, before the goods have left."""
    return _end(shop, request, "cancelled")


def dispatch(shop: Shop, request: Request) -> Answer:
    """POST /carrier/shipments/{id}/dispatch: the goods leave."""
    return _end(shop, request, "dispatched")


def _end(shop: Shop, request: Request, state: str) -> Answer:
    read(request.body, Empty)
    return SHIPMENTS.change(shop, SHIPMENTS.find_open(shop, request.ids["id"])["id"], state=state)
