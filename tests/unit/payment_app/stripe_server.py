"""A loopback server that speaks the part of Stripe's API the gateway uses.

After https://docs.stripe.com/api: PaymentIntents (create with confirm, capture, cancel, retrieve, list,
search), refunds (create, list), idempotent requests (stored answers, 5xx included, come back with
`Idempotent-Replayed`; 409 while the first is under way; 400 for another request), the shapes of errors.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

API_KEY = "sk_test_loopback"
DECLINES = {
    "pm_card_chargeDeclined": ("card_declined", "generic_decline", "Your card was declined."),
    "pm_card_chargeDeclinedInsufficientFunds": (
        "card_declined",
        "insufficient_funds",
        "Your card has insufficient funds.",
    ),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", "expired_card", "Your card has expired."),
}
Reply = tuple[int, dict[str, Any]]
Form = dict[str, str]


class StripeFault(Exception):
    """An answer in Stripe's error shape."""

    def __init__(self, status: int, type_: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.reply: Reply = (status, {"error": {"type": type_, "message": message, **more}})


class StripeServer(ThreadingHTTPServer):
    """Keeps intents, refunds and keys in memory; `error_after` and `hold` make the next POST misbehave.

    `first_status` is that of a new intent whose card is good. `answer` is the next POST's answer, stored under its
    key; nothing is done then.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.intents: dict[str, dict[str, Any]] = {}
        self.refunds: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str, Form]] = []
        self.error_before = 0
        self.error_after = 0
        self.answer: Reply | None = None
        self.first_status = "requires_capture"
        self.drip_seconds = 0.0
        self.hold: threading.Event | None = None
        self.held = threading.Event()
        self._answers: dict[str, tuple[str, Reply | None]] = {}
        self._lock = threading.RLock()
        self._ids = itertools.count(1)

    def forget_keys(self) -> None:
        """Forget every idempotency key, as Stripe does after a day or more."""
        with self._lock:
            self._answers.clear()

    def reply(self, method: str, path: str, form: Form, key: str) -> tuple[Reply, bool]:
        """The answer, and whether it is a stored one."""
        self.requests.append((method, path, form))
        if method == "GET":
            return self._worked(method, path, form), False
        fingerprint = json.dumps([path, form], sort_keys=True)
        with self._lock:
            known = self._answers.get(key)
            if known is None:
                self._answers[key] = fingerprint, None
        if known is not None:
            return self._repeated(known, fingerprint)
        reply = self._first(method, path, form)
        with self._lock:
            self._answers[key] = fingerprint, reply
        return reply, False

    def _first(self, method: str, path: str, form: Form) -> Reply:
        fault = 500, {"error": {"type": "api_error", "message": "An error occurred."}}
        if self.error_before:
            self.error_before -= 1
            return fault
        if self.answer:
            reply, self.answer = self.answer, None
            return reply
        reply = self._worked(method, path, form)
        if self.hold:
            self.held.set()
            self.hold.wait(10)
        if self.error_after:
            self.error_after -= 1
            return fault
        return reply

    def _repeated(self, known: tuple[str, Reply | None], fingerprint: str) -> tuple[Reply, bool]:
        if known[0] != fingerprint:
            message = "Keys for idempotent requests can only be used with the same parameters."
            return StripeFault(400, "idempotency_error", message).reply, False
        if known[1] is None:
            message = "There is currently another in-progress request using this Idempotent Key."
            return StripeFault(409, "idempotency_error", message, code="idempotency_key_in_use").reply, False
        return known[1], True

    def _worked(self, method: str, path: str, form: Form) -> Reply:
        with self._lock:
            try:
                return 200, self._routed(method, path, form)
            except StripeFault as fault:
                return fault.reply

    def _routed(self, method: str, path: str, form: Form) -> dict[str, Any]:
        match method, path.strip("/").split("/")[1:]:
            case "POST", ["payment_intents"]:
                return self._create(form)
            case "GET", ["payment_intents"]:
                return self._list(path, list(reversed(self.intents.values())), form)
            case "GET", ["payment_intents", "search"]:
                return self._search(form)
            case "GET", ["payment_intents", identity]:
                return self._intent(identity)
            case "POST", ["payment_intents", identity, "capture"]:
                return self._capture(identity, form)
            case "POST", ["payment_intents", identity, "cancel"]:
                return self._cancel(identity)
            case "POST", ["refunds"]:
                return self._refund(form)
            case "GET", ["refunds"]:
                made = [r for r in self.refunds if r["payment_intent"] == form["payment_intent"]]
                return self._list(path, list(reversed(made)), form)
        raise StripeFault(404, "invalid_request_error", f"Unrecognized request URL ({method}: {path}).")

    def _create(self, form: Form) -> dict[str, Any]:
        assert (form["confirm"], form["capture_method"]) == ("true", "manual")
        if int(form["amount"]) < 50:
            raise StripeFault(
                400, "invalid_request_error", "Amount too small.", code="amount_too_small", param="amount"
            )
        method = form.get("payment_method") or form["payment_method_data[card][token]"]
        if not method.startswith(("pm_card_", "tok_visa")):
            param = "payment_method" if "payment_method" in form else "payment_method_data[card][token]"
            message = f"No such PaymentMethod: '{method}'"
            raise StripeFault(400, "invalid_request_error", message, code="resource_missing", param=param)
        intent: dict[str, Any] = {
            "id": f"pi_{next(self._ids)}",
            "object": "payment_intent",
            "amount": int(form["amount"]),
            "amount_received": 0,
            "created": 1_800_000_000 + len(self.intents),
            "currency": form["currency"],
            "latest_charge": None,
            "metadata": {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")},
            "status": "requires_payment_method",
        }
        self.intents[intent["id"]] = intent
        if method in DECLINES:
            code, decline, message = DECLINES[method]
            raise StripeFault(
                402, "card_error", message, code=code, decline_code=decline, payment_intent=intent
            )
        charge = {
            "id": f"ch_{next(self._ids)}",
            "object": "charge",
            "amount": intent["amount"],
            "amount_refunded": 0,
        }
        intent.update(status=self.first_status, latest_charge=charge)
        return dict(intent)

    def _capture(self, identity: str, form: Form) -> dict[str, Any]:
        intent = self._intent(identity, "requires_capture")
        amount = int(form["amount_to_capture"])
        if amount > intent["amount"]:
            message = "The amount to capture is greater than the authorized amount."
            raise StripeFault(400, "invalid_request_error", message, code="amount_too_large")
        charge = {**intent["latest_charge"], "amount_refunded": intent["amount"] - amount}
        intent.update(status="succeeded", amount_received=amount, latest_charge=charge)
        return dict(intent)

    def _cancel(self, identity: str) -> dict[str, Any]:
        intent = self._intent(identity, "requires_capture")
        charge = {**intent["latest_charge"], "amount_refunded": intent["amount"]}
        intent.update(status="canceled", latest_charge=charge)
        return dict(intent)

    def _refund(self, form: Form) -> dict[str, Any]:
        intent, amount = self._intent(form["payment_intent"]), int(form["amount"])
        gone = sum(r["amount"] for r in self.refunds if r["payment_intent"] == intent["id"])
        if amount > intent["amount_received"] - gone:
            message = "Charge has already been refunded."
            raise StripeFault(400, "invalid_request_error", message, code="charge_already_refunded")
        let_go = intent["amount"] - intent["amount_received"]
        intent["latest_charge"] = {**intent["latest_charge"], "amount_refunded": let_go + gone + amount}
        refund = {
            "id": f"re_{next(self._ids)}",
            "object": "refund",
            "amount": amount,
            "metadata": {"key": form["metadata[key]"]},
            "payment_intent": intent["id"],
            "status": "succeeded",
        }
        self.refunds.append(refund)
        return refund

    def _intent(self, identity: str, status: str | None = None) -> dict[str, Any]:
        intent = self.intents.get(identity)
        if intent is None:
            message = f"No such payment_intent: '{identity}'"
            raise StripeFault(404, "invalid_request_error", message, code="resource_missing", param="intent")
        if status and intent["status"] != status:
            message = f"This PaymentIntent has a status of {intent['status']}."
            code = "payment_intent_unexpected_state"
            raise StripeFault(400, "invalid_request_error", message, code=code, payment_intent=intent)
        return intent

    def _search(self, form: Form) -> dict[str, Any]:
        wanted = re.fullmatch(r"metadata\['(\w+)'\]:'([^']*)'", form["query"])
        assert wanted, form
        found = [i for i in self.intents.values() if i["metadata"].get(wanted[1]) == wanted[2]]
        url = "/v1/payment_intents/search"
        return {"object": "search_result", "url": url, "data": found, "has_more": False, "next_page": None}

    def _list(self, path: str, things: list[dict[str, Any]], form: Form) -> dict[str, Any]:
        if "created[gte]" in form:
            things = [thing for thing in things if thing["created"] >= int(form["created[gte]"])]
        if "starting_after" in form:
            ids = [thing["id"] for thing in things]
            things = things[ids.index(form["starting_after"]) + 1 :]
        limit = int(form.get("limit", "10"))
        return {"object": "list", "url": path, "data": things[:limit], "has_more": len(things) > limit}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: StripeServer

    def _handle(self) -> None:
        url = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        form = dict(parse_qsl(content or url.query))
        replayed = False
        if self.headers["Authorization"] != f"Bearer {API_KEY}":
            reply = StripeFault(401, "invalid_request_error", "Invalid API Key provided.").reply
        else:
            key = self.headers.get("Idempotency-Key", "")
            reply, replayed = self.server.reply(self.command, url.path, form, key)
        body = json.dumps(reply[1]).encode()
        self.send_response(reply[0])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Request-Id", "req_loopback")
        if replayed:
            self.send_header("Idempotent-Replayed", "true")
        self.end_headers()
        self._write(body)

    def _write(self, body: bytes) -> None:
        """At once, or byte by byte with a pause after each, as a sick peer does."""
        pause = threading.Event()
        pieces = [body] if not self.server.drip_seconds else [body[i : i + 1] for i in range(len(body))]
        try:
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()
                if len(pieces) > 1:
                    pause.wait(self.server.drip_seconds)
        except OSError:
            self.close_connection = True

    do_GET = do_POST = _handle

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the tests look at `requests`."""


@contextmanager
def stripe_server() -> Iterator[StripeServer]:
    """A running server on a free port."""
    with StripeServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
