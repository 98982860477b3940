"""The payment provider: authorize, capture, void, refund."""

from __future__ import annotations

import json
import re
import sqlite3
import uuid
from typing import Any

from compose.sandbox.books import iso, page
from compose.sandbox.faults import Fault
from compose.sandbox.fields import CURRENCY, Fields
from compose.sandbox.http import Answer, NotFound, Refused, Request, Shop
from compose.sandbox.settings import Settings
from compose.sandbox.store import now

TOKEN = re.compile(r"[\x21-\x7e]+")
DECLINES = {
    "tok_card_declined": ("card_declined", "the card was declined; ask for another card"),
    "tok_insufficient_funds": ("insufficient_funds", "the card has insufficient funds; ask for another card"),
}
ALWAYS_LATE = "tok_timeout"
LATE_CALLS = 7
CAPTURE_REFUSED = "tok_capture_refused"
UNCAPTURABLE = "auth_uncapturable_"
APPROVED = {
    "tok_approved",
    "tok_slow",
    "tok_timeout_then_succeeds",
    "tok_error_after_charging",
    ALWAYS_LATE,
    CAPTURE_REFUSED,
}


def token_fault(request: Request, settings: Settings) -> Fault | None:
    """How the first call with a key misbehaves because of its test token; repeats answer at once."""
    return {
        "tok_slow": Fault("delay", settings.slow_seconds),
        "tok_timeout_then_succeeds": Fault("timeout", settings.timeout_seconds),
        ALWAYS_LATE: Fault("timeout", settings.timeout_seconds),
        "tok_error_after_charging": Fault("error_after"),
    }.get(str(request.body.get("token")))


def authorize(shop: Shop, request: Request) -> Answer:
    """POST /provider/authorizations: hold an amount on a card."""
    fields = Fields(request.body)
    amount, currency = fields.integer("amount"), fields.text("currency", pattern=CURRENCY)
    token, reference = fields.text("token", pattern=TOKEN), fields.text("reference")
    metadata = fields.mapping("metadata", required=False)
    fields.done()
    if token in DECLINES:
        raise Refused(*DECLINES[token])
    if token not in APPROVED:
        raise Refused("invalid_token", f"no such card token: {token[:80]}")
    identity = f"{UNCAPTURABLE if token == CAPTURE_REFUSED else 'auth_'}{uuid.uuid4().hex}"
    shop.store.run(
        "INSERT INTO authorizations (id, created_at, reference, metadata, amount, currency, state)"
        " VALUES (?, ?, ?, ?, ?, ?, 'authorized')",
        identity, now(), reference, json.dumps(metadata), amount, currency,
    )  # fmt: skip
    return Answer(201, _present(_authorization(shop, identity)))


def capture(shop: Shop, request: Request) -> Answer:
    """POST /provider/authorizations/{id}/capture: take all or a part, once; the rest is let go."""
    fields = Fields(request.body)
    amount = fields.integer("amount")
    fields.done()
    authorization = _open(shop, request.ids["id"])
    if authorization["id"].startswith(UNCAPTURABLE):
        raise Refused("authorization_expired", "the bank let go of the amount before it was captured")
    if amount > authorization["amount"]:
        raise Refused("amount_too_large", f"cannot capture {amount}: {authorization['amount']} is authorized")
    shop.store.run(
        "UPDATE authorizations SET state = 'captured', captured = ? WHERE id = ?", amount, authorization["id"]
    )
    return Answer(200, _present(_authorization(shop, authorization["id"])))


def void(shop: Shop, request: Request) -> Answer:
    """POST /provider/authorizations/{id}/void: let the whole amount go."""
    Fields(request.body).done()
    authorization = _open(shop, request.ids["id"])
    shop.store.run("UPDATE authorizations SET state = 'voided' WHERE id = ?", authorization["id"])
    return Answer(200, _present(_authorization(shop, authorization["id"])))


def refund(shop: Shop, request: Request) -> Answer:
    """POST /provider/refunds: give back captured money, in one or several parts."""
    fields = Fields(request.body)
    authorization = _authorization(shop, fields.text("authorization"))
    amount = fields.integer("amount")
    fields.done()
    left = authorization["captured"] - authorization["refunded"]
    if authorization["state"] != "captured":
        raise Refused("not_captured", f"nothing to refund: the authorization is {authorization['state']}")
    if amount > left:
        raise Refused("amount_too_large", f"cannot refund {amount}: {left} of what was captured is left")
    identity = f"ref_{uuid.uuid4().hex}"
    shop.store.run(
        "INSERT INTO refunds (id, created_at, authorization, amount) VALUES (?, ?, ?, ?)",
        identity, now(), authorization["id"], amount,
    )  # fmt: skip
    shop.store.run(
        "UPDATE authorizations SET refunded = refunded + ? WHERE id = ?", amount, authorization["id"]
    )
    made = {"id": identity, "status": "refunded", "authorization": authorization["id"], "amount": amount}
    return Answer(201, made | {name: authorization[name] for name in ("reference", "currency")})


def retrieve(shop: Shop, request: Request) -> Answer:
    """GET /provider/authorizations/{id}."""
    return Answer(200, _present(_authorization(shop, request.ids["id"])))


def books(shop: Shop, request: Request) -> Answer:
    """GET /provider/authorizations?after=&limit=&since=&reference=."""
    return page(shop, request, "authorizations", _present)


def _authorization(shop: Shop, identity: str) -> sqlite3.Row:
    row = shop.store.row("SELECT * FROM authorizations WHERE id = ?", identity)
    if row is None:
        raise NotFound("not_found", f"no authorization {identity[:80]}")
    return row


def _open(shop: Shop, identity: str) -> sqlite3.Row:
    row = _authorization(shop, identity)
    if row["state"] != "authorized":
        raise Refused(f"already_{row['state']}", f"authorization {identity} is already {row['state']}")
    return row


def _present(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "status": row["state"],
        "reference": row["reference"],
        "metadata": json.loads(row["metadata"]),
        "amount": row["amount"],
        "currency": row["currency"],
        "captured": row["captured"],
        "refunded": row["refunded"],
        "created_at": iso(row["created_at"]),
    }
