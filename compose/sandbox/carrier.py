"""The carrier: book, cancel, dispatch."""

from __future__ import annotations

import json
import sqlite3
import uuid
from typing import Any

from compose.sandbox.books import iso, page
from compose.sandbox.fields import COUNTRY, Fields
from compose.sandbox.http import Answer, NotFound, Refused, Request, Shop
from compose.sandbox.store import now

UNREACHABLE_COUNTRY = "AQ"
UNREACHABLE_POSTAL_CODE = "00000"
MAX_PARCELS = 999
MAX_GRAMS = 10**9


def book(shop: Shop, request: Request) -> Answer:
    """POST /carrier/shipments: a booking with its tracking number."""
    fields = Fields(request.body)
    reference, address = fields.text("reference"), _address(fields.mapping("address"))
    weight_grams = fields.integer("weight_grams", maximum=MAX_GRAMS)
    parcels = fields.integer("parcels", maximum=MAX_PARCELS)
    fields.done()
    if address["country"] == UNREACHABLE_COUNTRY or address["postal_code"].startswith(
        UNREACHABLE_POSTAL_CODE
    ):
        raise Refused(
            "address_unreachable",
            f"no delivery to this address in {address['country']}",
        )
    limit = shop.settings.max_weight_grams
    if weight_grams > limit:
        raise Refused(
            "parcel_too_heavy", f"{weight_grams} g is over the limit of {limit} g; split the shipment"
        )
    number = uuid.uuid4()
    identity = f"ship_{number.hex}"
    shop.store.run(
        "INSERT INTO shipments"
        " (id, created_at, reference, tracking_number, address, weight_grams, parcels, state)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 'booked')",
        identity, now(), reference, f"SB{number.int % 10**16:016d}", json.dumps(address),
        weight_grams, parcels,
    )  # fmt: skip
    return Answer(201, _present(_shipment(shop, identity)))


def cancel(shop: Shop, request: Request) -> Answer:
    """POST /carrier/shipments/{id}/cancel, as long as the goods have not left."""
    return _end(shop, request, "cancelled")


def dispatch(shop: Shop, request: Request) -> Answer:
    """POST /carrier/shipments/{id}/dispatch: the goods leave."""
    return _end(shop, request, "dispatched")


def retrieve(shop: Shop, request: Request) -> Answer:
    """GET /carrier/shipments/{id}."""
    return Answer(200, _present(_shipment(shop, request.ids["id"])))


def books(shop: Shop, request: Request) -> Answer:
    """GET /carrier/shipments?after=&limit=&since=&reference=."""
    return page(shop, request, "shipments", _present)


def _address(values: dict[str, Any]) -> dict[str, str]:
    fields = Fields(values, within="address.")
    address = {name: fields.text(name) for name in ("name", "line1", "city", "postal_code")}
    address["country"] = fields.text("country", pattern=COUNTRY)
    fields.done()
    return address


def _end(shop: Shop, request: Request, state: str) -> Answer:
    Fields(request.body).done()
    row = _shipment(shop, request.ids["id"])
    if row["state"] != "booked":
        raise Refused(f"already_{row['state']}", f"shipment {row['id']} is already {row['state']}")
    shop.store.run("UPDATE shipments SET state = ? WHERE id = ?", state, row["id"])
    return Answer(200, _present(_shipment(shop, row["id"])))


def _shipment(shop: Shop, identity: str) -> sqlite3.Row:
    row = shop.store.row("SELECT * FROM shipments WHERE id = ?", identity)
    if row is None:
        raise NotFound("not_found", f"no shipment {identity[:80]}")
    return row


def _present(row: sqlite3.Row) -> dict[str, Any]:
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
