"""The payment provider: it authorizes an amount, captures or voids it once, and refunds what was captured."""

from __future__ import annotations

import json
import sqlite3
import uuid
from dataclasses import replace
from typing import Any

from celery_config.sandbox.words import Token
from compose.sandbox.bodies import Authorize, Capture, Empty, Refund, read
from compose.sandbox.books import Book, iso
from compose.sandbox.faults import Fault
from compose.sandbox.http import Answer, Refused, Request, Settings, Shop
from compose.sandbox.store import now

DECLINES = {
    Token.DECLINED: ("card_declined", "the card was declined; ask for another card"),
    Token.POOR: ("insufficient_funds", "the card has insufficient funds; ask for another card"),
}
APPROVED = {*Token} - DECLINES.keys()
LATE_CALLS = 7
UNCAPTURABLE = "auth_uncapturable_"


def find_fault(request: Request, settings: Settings) -> Fault | None:
    """Return the fault of a test token: for the first call with a key and, with ALWAYS_LATE, its repeats."""
    faults = {
        Token.SLOW: Fault("delay", settings.slow_seconds),
        Token.UNHURRIED: Fault("delay", settings.unhurried_seconds),
        Token.LATE: Fault("timeout", settings.timeout_seconds),
        Token.ALWAYS_LATE: Fault("timeout", settings.timeout_seconds),
        Token.ERROR_AFTER_CHARGING: Fault("error_after"),
    }
    return {token.value: fault for token, fault in faults.items()}.get(str(request.body.get("token")))


def plan_faults(request: Request, answer: Answer, settings: Settings) -> dict[str, Fault]:
    """Return the faults of later calls about a new authorization, by their path: those of its token."""
    path = f"/provider/authorizations/{answer.body['id']}"
    match request.body.get("token"):
        case Token.VOID_FAILS:
            return {f"{path}/void": Fault("error_500")}
        case Token.UNHURRIED:
            return {path: Fault("delay", settings.unhurried_seconds)}
    return {}


def alter_event(request: Request, answer: Answer) -> Answer:
    """Return what the webhook says of a new authorization: with one token not what was asked for."""
    if request.body.get("token") != Token.WEBHOOK_DIFFERS:
        return answer
    return replace(answer, body={**answer.body, "amount": answer.body["amount"] + 1})


def present(row: sqlite3.Row) -> dict[str, Any]:
    """Return an authorization as the provider shows it."""
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


AUTHORIZATIONS = Book("authorizations", "authorization", "authorized", present)


def authorize(shop: Shop, request: Request) -> Answer:
    """POST /provider/authorizations: hold an amount on a card."""
    body = read(request.body, Authorize)
    if body.token in DECLINES:
        raise Refused(*DECLINES[Token(body.token)])
    if body.token not in APPROVED:
        raise Refused("invalid_token", f"no such card token: {body.token[:80]}")
    return AUTHORIZATIONS.add(
        shop,
        f"{UNCAPTURABLE if body.token == Token.CAPTURE_REFUSED else 'auth_'}{uuid.uuid4().hex}",
        reference=body.reference,
        metadata=json.dumps(body.metadata),
        amount=body.amount,
        currency=body.currency,
    )


def capture(shop: Shop, request: Request) -> Answer:
    """POST /provider/authorizations/{id}/capture: take all or a part, once; the rest is released."""
    amount = read(request.body, Capture).amount
    authorization = AUTHORIZATIONS.find_open(shop, request.ids["id"])
    if authorization["id"].startswith(UNCAPTURABLE):
        raise Refused("authorization_expired", "the bank released the amount before it was captured")
    if amount > authorization["amount"]:
        raise Refused("amount_too_large", f"cannot capture {amount}: {authorization['amount']} is authorized")
    return AUTHORIZATIONS.change(shop, authorization["id"], state="captured", captured=amount)


def void(shop: Shop, request: Request) -> Answer:
    """POST /provider/authorizations/{id}/void: release the whole amount."""
    read(request.body, Empty)
    authorization = AUTHORIZATIONS.find_open(shop, request.ids["id"])
    return AUTHORIZATIONS.change(shop, authorization["id"], state="voided")


def refund(shop: Shop, request: Request) -> Answer:
    """POST /provider/refunds: give back captured money, in one or several parts."""
    body = read(request.body, Refund)
    authorization = AUTHORIZATIONS.find(shop, body.authorization)
    left = authorization["captured"] - authorization["refunded"]
    if authorization["state"] != "captured":
        raise Refused("not_captured", f"nothing to refund: the authorization is {authorization['state']}")
    if body.amount > left:
        raise Refused("amount_too_large", f"cannot refund {body.amount}: {left} of what was captured is left")
    identity = f"ref_{uuid.uuid4().hex}"
    shop.store.run(
        "INSERT INTO refunds (id, created_at, authorization, amount) VALUES (?, ?, ?, ?)",
        identity, now(), authorization["id"], body.amount,
    )  # fmt: skip
    AUTHORIZATIONS.change(shop, authorization["id"], refunded=authorization["refunded"] + body.amount)
    made = {"id": identity, "status": "refunded", "authorization": authorization["id"], "amount": body.amount}
    return Answer(201, made | {name: authorization[name] for name in ("reference", "currency")})
