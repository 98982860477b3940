"""The provider's webhooks: who is believed, and what they settle, with the sandbox and with Stripe."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import stripe
from django.conf import settings as django_settings
from django.urls import reverse

from celery_config.contracts.base import command_id
from celery_config.errors import OutcomeUnknown, Refused, StepSuperseded
from celery_config.http.webhooks import HEADER, TOLERANCE_SECONDS, sign
from celery_config.messaging.measures import check_contradictions
from celery_config.messaging.models import BarrierRow, Contradiction, OutboxMessage
from celery_config.participant.api import MAX_BYTES
from payment_app.gateways import gateway
from payment_app.models import Payment, RefundOutcome
from tests.service.payment.shop import AUTHORIZE, CAPTURE, Shop
from tests.service.together import concurrent, together

URL = "/api/provider-events/"
WHSEC = "whsec_of_the_endpoint"
LOST = "tok_error_after_charging"
RACES = 10
Client = Any


def build_body(shop: Shop, kind: str, key: UUID, **changes: Any) -> dict[str, Any]:
    """The event that the sandbox sends of what its books hold for the order."""
    entries = shop.books()
    data: dict[str, Any] = {"reference": str(shop.order), "amount": 1999, "currency": "GBP"}
    data |= {"id": entries[0].provider_id, "captured": entries[0].captured} if entries else {}
    return {
        "id": f"evt_{uuid4().hex}",
        "type": kind,
        "idempotency_key": str(key),
        "data": data | changes,
    }


def send(client: Client, body: Any, *, secret: str | None = None, age: float = 0, **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    signed = sign(content, secret or django_settings.PAYMENT_WEBHOOK_SECRET, at=int(time.time() - age))
    headers = headers or {HEADER: signed}
    return client.post(URL, content, content_type="application/json", headers=headers)


def outcome(answer: Any) -> str:
    assert answer.status_code == 200, answer.content
    return str(answer.json()["outcome"])


def key(shop: Shop, step: str, operation: str = "do") -> UUID:
    return command_id(shop.saga, step, operation)


def row(shop: Shop, step: str) -> BarrierRow:
    return BarrierRow.objects.get(key=key(shop, step))


@pytest.fixture
def in_doubt(shop: Shop) -> Shop:
    """The money is held at the provider, and nobody here knows it."""
    with pytest.raises(OutcomeUnknown):
        shop.authorize(LOST)
    return shop


class TestWhoIsBelieved:
    def test_not_who_signs_with_another_secret(self, in_doubt: Shop, stranger: Client) -> None:
        body = build_body(in_doubt, "authorization.authorized", key(in_doubt, AUTHORIZE))
        answer = send(stranger, body, secret="guessed")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_signature")
        assert answer["Content-Type"] == "application/problem+json"
        assert row(in_doubt, AUTHORIZE).action == "intent"

    @pytest.mark.parametrize(
        "header",
        ["", "v1=", "t=1", "t=x,v1=y", "t=1,v1=é", "t=99999999999999999999,v1=00", "t=1,t=2,v1=a", "=,=,"],
    )
    def test_not_who_signs_badly(self, in_doubt: Shop, stranger: Client, header: str) -> None:
        body = build_body(in_doubt, "authorization.authorized", key(in_doubt, AUTHORIZE))
        answer = send(stranger, body, **{HEADER: header})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_signature")

    def test_not_without_a_signature_even_with_a_service_token(self, in_doubt: Shop, peer: Client) -> None:
        body = build_body(in_doubt, "authorization.authorized", key(in_doubt, AUTHORIZE))
        assert peer.post(URL, body, format="json").json()["code"] == "invalid_signature"

    @pytest.mark.parametrize("age", [TOLERANCE_SECONDS + 5, -TOLERANCE_SECONDS - 5])
    def test_not_what_was_signed_long_ago_or_in_the_future(
        self, in_doubt: Shop, stranger: Client, age: float
    ) -> None:
        body = build_body(in_doubt, "authorization.authorized", key(in_doubt, AUTHORIZE))
        answer = send(stranger, body, age=age)
        assert (answer.status_code, answer.json()["code"]) == (400, "stale_signature")
        assert row(in_doubt, AUTHORIZE).action == "intent"

    @pytest.mark.parametrize("name", [HEADER.lower(), HEADER.upper()])
    def test_whatever_the_case_of_the_headers_name(
        self, in_doubt: Shop, stranger: Client, settings: Any, name: str
    ) -> None:
        body = json.dumps(build_body(in_doubt, "authorization.authorized", key(in_doubt, AUTHORIZE))).encode()
        signed = sign(body, settings.PAYMENT_WEBHOOK_SECRET, at=int(time.time()))
        assert outcome(send(stranger, body, **{name: signed})) == "settled"

    def test_not_a_body_that_was_changed(self, in_doubt: Shop, stranger: Client, settings: Any) -> None:
        body = json.dumps(build_body(in_doubt, "authorization.authorized", key(in_doubt, AUTHORIZE))).encode()
        signed = sign(body, settings.PAYMENT_WEBHOOK_SECRET, at=int(time.time()))
        answer = send(stranger, body.replace(b"1999", b"1"), **{HEADER: signed})
        assert answer.json()["code"] == "invalid_signature"

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"nonsense", b"[]", b"\xff", b'{"id": 1}', b'{"id": "evt"}', b"[" * 20_000,
            *(
                json.dumps({"id": name, "type": "x", "idempotency_key": "k", "data": {}}).encode()
                for name in ("a\x00b", "e" * 5000, "")
            ),
        ],
    )  # fmt: skip
    def test_a_signed_body_that_is_no_event(self, shop: Shop, stranger: Client, body: bytes) -> None:
        answer = send(stranger, body)
        assert (answer.status_code, answer.json()["code"]) == (400, "unreadable_event")

    def test_an_event_without_what_it_is_about(self, shop: Shop, stranger: Client) -> None:
        body = {
            "id": "evt_1",
            "type": "authorization.authorized",
            "idempotency_key": str(uuid4()),
            "data": {},
        }
        assert send(stranger, body).json()["code"] == "unreadable_event"

    def test_a_body_too_large_is_refused(self, shop: Shop, stranger: Client) -> None:
        for size in (MAX_BYTES + 1, 3_000_000):
            answer = send(stranger, b" " * size)
            assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")

    def test_only_post(self, stranger: Client, db: None) -> None:
        assert stranger.get(URL).status_code == 405


class TestWhatIsSettled:
    def test_an_authorization(self, in_doubt: Shop, stranger: Client) -> None:
        body = build_body(in_doubt, "authorization.authorized", key(in_doubt, AUTHORIZE))
        assert [outcome(send(stranger, body)) for _ in range(2)] == ["settled", "known"]
        (entry,) = in_doubt.books()
        assert (in_doubt.payment().provider_id, in_doubt.payment().state) == (entry.provider_id, "authorized")
        calls = in_doubt.sandbox.calls("POST /provider/authorizations")
        reply = in_doubt.authorize(LOST)
        assert reply == row(in_doubt, AUTHORIZE).reply
        assert in_doubt.sandbox.calls("POST /provider/authorizations") == calls
        assert OutboxMessage.objects.filter(name="payment.payment_authorized").count() == 1

    def test_a_refusal(self, shop: Shop, stranger: Client) -> None:
        shop.sandbox.fault("/provider", "error_after")
        with pytest.raises(OutcomeUnknown):
            shop.authorize("tok_card_declined")
        body = build_body(
            shop, "authorization.refused", key(shop, AUTHORIZE), code="card_declined", reason="no"
        )
        assert outcome(send(stranger, body)) == "settled"
        with pytest.raises(Refused, match="card_declined"):
            shop.authorize("tok_card_declined")

    @pytest.mark.parametrize(
        ("code", "reason", "shown"),
        [
            ("card_declined", "n\x00o \ud83d", "card_declined: n o"),
            ("c" * 65, "no", "card_declined: no"),
            (["card_declined"], {"en": "no"}, "card_declined: card_declined"),
        ],
    )
    def test_a_refusal_in_strange_words(
        self, shop: Shop, stranger: Client, code: object, reason: object, shown: str
    ) -> None:
        shop.sandbox.fault("/provider", "error_after")
        with pytest.raises(OutcomeUnknown):
            shop.authorize("tok_card_declined")
        body = build_body(shop, "authorization.refused", key(shop, AUTHORIZE), code=code, reason=reason)
        assert outcome(send(stranger, body)) == "settled"
        with pytest.raises(Refused) as refused:
            shop.authorize("tok_card_declined")
        assert str(refused.value) == shown

    @pytest.mark.parametrize("name", ["id", "currency"])
    def test_a_name_that_cannot_be_stored_is_unreadable(
        self, in_doubt: Shop, stranger: Client, name: str
    ) -> None:
        body = build_body(in_doubt, "authorization.authorized", key(in_doubt, AUTHORIZE), **{name: "a\x00b"})
        assert send(stranger, body).json()["code"] == "unreadable_event"

    def test_a_capture_is_booked_once(self, shop: Shop, stranger: Client) -> None:
        shop.authorize()
        shop.sandbox.fault("/provider", "error_after")
        with pytest.raises(OutcomeUnknown):
            shop.capture()
        body = build_body(shop, "authorization.captured", key(shop, CAPTURE))
        assert [outcome(send(stranger, body)) for _ in range(2)] == ["settled", "known"]
        assert (shop.payment().state, shop.payment().captured) == ("captured", 1999)
        assert shop.fence() is True
        assert shop.capture() == row(shop, CAPTURE).reply

    def test_a_void(self, shop: Shop, stranger: Client) -> None:
        shop.authorize()
        shop.sandbox.fault("/provider", "error_after")
        with pytest.raises(OutcomeUnknown):
            shop.void()
        body = build_body(shop, "authorization.voided", key(shop, AUTHORIZE, "undo"))
        assert outcome(send(stranger, body)) == "settled"
        assert (shop.payment().state, row(shop, AUTHORIZE).undo) == ("voided", "done")
        shop.void()

    def test_a_refund(self, shop: Shop, stranger: Client) -> None:
        shop.paid()
        refund, saga = uuid4(), uuid4()
        shop.sandbox.fault("/provider/refunds", "error_after")
        with pytest.raises(OutcomeUnknown):
            shop.refund(500, refund=refund, saga=saga)
        made = {"id": "ref_1", "authorization": shop.payment().provider_id, "amount": 500}
        body = build_body(shop, "refund.refunded", command_id(saga, "refund-payment", "do"), **made)
        assert outcome(send(stranger, body)) == "settled"
        assert RefundOutcome.objects.get(refund=refund).provider_id == "ref_1"
        assert shop.payment().refunded == 500

    @pytest.mark.parametrize("kind", ["card.expiring", "authorization.disputed"])
    def test_of_other_kinds_nothing(self, in_doubt: Shop, stranger: Client, kind: str) -> None:
        assert outcome(send(stranger, build_body(in_doubt, kind, key(in_doubt, AUTHORIZE)))) == "ignored"

    def test_of_keys_and_orders_that_are_not_ours_nothing(self, in_doubt: Shop, stranger: Client) -> None:
        foreign = build_body(in_doubt, "authorization.authorized", key(in_doubt, AUTHORIZE))
        assert outcome(send(stranger, foreign | {"idempotency_key": "somebody-elses"})) == "ignored"
        nobodys = build_body(
            in_doubt, "authorization.authorized", uuid4(), reference="shop-9", id="auth_unknown"
        )
        assert outcome(send(stranger, nobodys)) == "ignored"
        assert not Contradiction.objects.exists()


class TestWhatIsNot:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"amount": 1}, "amount: asked 1999, reported 1"),
            ({"currency": "USD"}, "currency: asked GBP, reported USD"),
            ({"reference": str(UUID(int=3))}, "order: asked"),
        ],
    )
    def test_what_was_not_asked_for(
        self, in_doubt: Shop, stranger: Client, changes: dict[str, Any], reason: str
    ) -> None:
        body = build_body(in_doubt, "authorization.authorized", key(in_doubt, AUTHORIZE), **changes)
        assert [outcome(send(stranger, body)) for _ in range(2)] == ["contradicts"] * 2
        assert (row(in_doubt, AUTHORIZE).action, Payment.objects.count()) == ("intent", 0)
        assert reason in Contradiction.objects.get().reason

    def test_it_is_told_in_plain_words_and_counted(
        self, in_doubt: Shop, stranger: Client, admin_client: Client
    ) -> None:
        assert check_contradictions() == ""
        body = build_body(in_doubt, "authorization.authorized", key(in_doubt, AUTHORIZE), amount=1)
        send(stranger, body)
        assert check_contradictions().startswith("warning: 1 event from outside in 24 h")
        metrics = stranger.get("/metrics").content.decode()
        assert re.search(r"^order_saga_contradictions 1\.0$", metrics, re.MULTILINE)
        kept = Contradiction.objects.get()
        page = admin_client.get(
            reverse("admin:messaging_contradiction_change", args=[kept.pk])
        ).content.decode()
        assert "The amount: we asked for £19.99, it says £0.01." in page
        assert "<th>amount</th><td>£0.01</td>" in page
        assert "./manage.py payment reconcile" in page
        assert f"/admin/find/?q={in_doubt.order}" in page
        assert "minor units" not in page

    def test_another_operations_key(self, in_doubt: Shop, stranger: Client) -> None:
        body = build_body(in_doubt, "authorization.captured", key(in_doubt, AUTHORIZE), captured=1999)
        assert outcome(send(stranger, body)) == "contradicts"
        assert row(in_doubt, AUTHORIZE).action == "intent"

    def test_a_call_that_was_never_made(self, shop: Shop, stranger: Client) -> None:
        body = build_body(shop, "authorization.authorized", key(shop, AUTHORIZE), id="auth_x")
        assert outcome(send(stranger, body)) == "contradicts"
        shop.authorize()  # and nothing of it stands in the way
        assert shop.payment().provider_id != "auth_x"

    def test_an_order_that_was_compensated(self, in_doubt: Shop, stranger: Client) -> None:
        late = build_body(in_doubt, "authorization.authorized", key(in_doubt, AUTHORIZE))
        in_doubt.void()
        assert outcome(send(stranger, late)) == "known"
        assert in_doubt.payment().state == "voided"
        with pytest.raises(StepSuperseded):
            in_doubt.authorize(LOST)

    def test_a_tombstone(self, shop: Shop, stranger: Client) -> None:
        shop.void()
        body = build_body(shop, "authorization.authorized", key(shop, AUTHORIZE), id="auth_x")
        assert outcome(send(stranger, body)) == "contradicts"
        assert not Payment.objects.exists()

    def test_events_in_any_order(self, shop: Shop, stranger: Client) -> None:
        shop.paid()
        captured = build_body(shop, "authorization.captured", key(shop, CAPTURE))
        held = build_body(shop, "authorization.authorized", key(shop, AUTHORIZE))
        assert [outcome(send(stranger, body)) for body in (captured, held)] == ["known", "known"]
        assert shop.payment().state == "captured"


@concurrent
def test_events_and_the_answer_at_once(shop: Shop, stranger: Client) -> None:
    """One payment, one event, one reply, whoever comes first."""
    for _ in range(RACES):
        shop.order, shop.saga = uuid4(), uuid4()
        with pytest.raises(OutcomeUnknown):
            shop.authorize(LOST)
        body = build_body(shop, "authorization.authorized", key(shop, AUTHORIZE))
        results = together(lambda: shop.authorize(LOST), *[lambda b=body: send(stranger, b)] * 3)
        assert results[0] == row(shop, AUTHORIZE).reply
        assert {answer.status_code for answer in results[1:]} == {200}
        assert len(shop.books()) == 1
        assert OutboxMessage.objects.filter(saga=shop.saga).count() == 1
    assert not Contradiction.objects.exists()


class TestStripe:
    @pytest.fixture(autouse=True)
    def at_stripe(self, shop: Shop, settings: Any) -> Iterator[None]:
        """The call was made to the sandbox; only the event is Stripe's."""
        settings.PAYMENT_GATEWAY, settings.STRIPE_API_KEY = "stripe", "sk_test_x"
        settings.STRIPE_WEBHOOK_SECRET = WHSEC
        self.known = shop
        yield
        settings.PAYMENT_GATEWAY = "sandbox"
        gateway.cache_clear()

    def doubt(self, shop: Shop) -> None:
        with pytest.raises(OutcomeUnknown):
            shop.authorize(LOST)
        gateway.cache_clear()

    def event(self, shop: Shop, kind: str, key: UUID | None, **changes: Any) -> bytes:
        intent = {
            "id": "pi_1", "object": "payment_intent", "amount": 1999, "amount_received": 0, "currency": "gbp",
            "status": "requires_capture", "metadata": {"order": str(shop.order), "key": str(key)},
        }  # fmt: skip
        return json.dumps(
            {
                "id": f"evt_{uuid4().hex}", "object": "event", "type": kind, "api_version": stripe.api_version,
                "request": {"id": "req_1", "idempotency_key": key and str(key)},
                "data": {"object": intent | changes},
            }
        ).encode()  # fmt: skip

    def send(self, client: Client, body: bytes, secret: str = WHSEC, age: int = 0) -> Any:
        at = int(time.time()) - age
        header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at)
        return send(client, body, **{"Stripe-Signature": header})

    def test_an_authorization(self, shop: Shop, stranger: Client) -> None:
        self.doubt(shop)
        body = self.event(shop, "payment_intent.amount_capturable_updated", key(shop, AUTHORIZE))
        assert [outcome(self.send(stranger, body)) for _ in range(2)] == ["settled", "known"]
        assert shop.payment().provider_id == "pi_1"

    def test_a_declined_card(self, shop: Shop, stranger: Client) -> None:
        self.doubt(shop)
        error = {
            "type": "card_error",
            "code": "card_declined",
            "decline_code": "insufficient_funds",
            "message": "no",
        }
        body = self.event(
            shop, "payment_intent.payment_failed", key(shop, AUTHORIZE), last_payment_error=error
        )
        assert outcome(self.send(stranger, body)) == "settled"
        with pytest.raises(Refused, match="insufficient_funds"):
            shop.authorize(LOST)

    @pytest.mark.parametrize("code", ["c" * 65, ["card_declined"], None])
    def test_a_declined_card_in_strange_words(self, shop: Shop, stranger: Client, code: object) -> None:
        self.doubt(shop)
        error = {"type": "card_error", "code": code, "message": "n\x00o \ud83d"}
        body = self.event(
            shop, "payment_intent.payment_failed", key(shop, AUTHORIZE), last_payment_error=error
        )
        assert outcome(self.send(stranger, body)) == "settled"
        with pytest.raises(Refused, match=r"card_declined: n o$"):
            shop.authorize(LOST)

    def test_a_fault_of_theirs_is_no_refusal(self, shop: Shop, stranger: Client) -> None:
        self.doubt(shop)
        error = {"type": "api_error", "message": "try again"}
        body = self.event(
            shop, "payment_intent.payment_failed", key(shop, AUTHORIZE), last_payment_error=error
        )
        assert outcome(self.send(stranger, body)) == "ignored"

    def test_what_nobody_of_us_caused(self, shop: Shop, stranger: Client) -> None:
        self.doubt(shop)
        assert outcome(self.send(stranger, self.event(shop, "payment_intent.canceled", None))) == "ignored"
        assert (
            outcome(self.send(stranger, self.event(shop, "customer.created", key(shop, AUTHORIZE))))
            == "ignored"
        )

    @pytest.mark.parametrize(
        ("secret", "age", "code"),
        [("whsec_other", 0, "invalid_signature"), (WHSEC, 400, "stale_signature")],
    )
    def test_who_is_not_believed(
        self, shop: Shop, stranger: Client, secret: str, age: int, code: str
    ) -> None:
        self.doubt(shop)
        body = self.event(shop, "payment_intent.amount_capturable_updated", key(shop, AUTHORIZE))
        assert self.send(stranger, body, secret, age).json()["code"] == code
        assert send(stranger, body, **{"Stripe-Signature": ""}).json()["code"] == "invalid_signature"
        assert row(shop, AUTHORIZE).action == "intent"

    @pytest.mark.parametrize("header", ["", "t=1,v1=é", "t=1", "v1=00", "t=x,v1=00", f"t={'9' * 5000},v1=00"])
    def test_a_signature_that_is_none(self, shop: Shop, stranger: Client, header: str) -> None:
        gateway.cache_clear()
        header = header.replace("t=1", f"t={int(time.time())}")
        answer = send(stranger, b"{}", **{"Stripe-Signature": header})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_signature")

    @pytest.mark.parametrize("body", [b"nonsense", b"[]", b"7", b"[" * 100_000, b"1" * 5000])
    def test_a_signed_body_that_is_no_event(self, shop: Shop, stranger: Client, body: bytes) -> None:
        gateway.cache_clear()
        assert self.send(stranger, body).json()["code"] == "unreadable_event"

    @pytest.mark.parametrize(
        "changes",
        [
            {"type": "customer.created", "id": "evt\x00"},
            {"type": "customer.created", "id": None, "data": [], "request": "req_1"},
            {"type": "v1.billing.meter.no_meter_found", "object": "v2.core.event", "data": None},
            {"type": ["payment_intent.succeeded"]},
            {"type": "brand\x00new \ud83d"},
            {"type": None},
        ],
    )
    def test_what_concerns_no_call_is_taken_whatever_its_form(
        self, shop: Shop, stranger: Client, changes: dict[str, Any]
    ) -> None:
        """Stripe repeats for days what is not answered with a 2xx."""
        gateway.cache_clear()
        event = json.loads(self.event(shop, "customer.created", key(shop, AUTHORIZE)))
        assert outcome(self.send(stranger, json.dumps(event | changes).encode())) == "ignored"

    @pytest.mark.parametrize(
        "changes",
        [
            *({"id": name} for name in ("evt\x00", "evt\ud83d", "e" * 256, "", None)),
            *(
                {"data": data}
                for data in ({}, "\ud83d", {"object": "\ud83d"}, {"object": {"amount": "\ud83d"}})
            ),
        ],
    )
    def test_a_name_that_cannot_be_stored_is_unreadable(
        self, shop: Shop, stranger: Client, changes: dict[str, Any]
    ) -> None:
        self.doubt(shop)
        kind = "payment_intent.amount_capturable_updated"
        event = json.loads(self.event(shop, kind, key(shop, AUTHORIZE)))
        answer = self.send(stranger, json.dumps(event | changes).encode())
        assert (answer.status_code, answer.json()["code"]) == (400, "unreadable_event")
        bad = self.event(shop, kind, key(shop, AUTHORIZE), id="pi\x00")
        assert self.send(stranger, bad).json()["code"] == "unreadable_event"

    @pytest.mark.parametrize(
        "request_", ["req_1", None, {"id": None, "idempotency_key": None}, {"id": "req_1"}]
    )
    def test_without_a_key_of_the_request_the_key_of_the_intent_counts(
        self, shop: Shop, stranger: Client, request_: object
    ) -> None:
        """Old versions of the API name the request only; an intent that was processing changes without one."""
        self.doubt(shop)
        event = json.loads(self.event(shop, "payment_intent.amount_capturable_updated", key(shop, AUTHORIZE)))
        body = json.dumps(event | {"request": request_}).encode()
        assert [outcome(self.send(stranger, body)) for _ in range(2)] == ["settled", "known"]
        for kind in ("payment_intent.succeeded", "payment_intent.canceled"):
            assert outcome(
                self.send(stranger, json.dumps(event | {"request": request_, "type": kind}).encode())
            ) == ("ignored")

    def test_an_event_that_lacks_something(self, shop: Shop, stranger: Client) -> None:
        self.doubt(shop)
        body = self.event(shop, "payment_intent.succeeded", key(shop, AUTHORIZE)).replace(
            b'"amount_received": 0, ', b""
        )
        assert self.send(stranger, body).json()["code"] == "unreadable_event"
