"""Stripe as a gateway, through its official library.

An authorization is a PaymentIntent with manual capture whose metadata carry our order. Stripe keeps the
answer of a key, 5xx included, for at least 24 hours; such a stored 5xx is settled by looking at what really
happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar, cast
from uuid import UUID

import stripe

from celery_config.common.identifiers import order_id
from celery_config.http.client import CALL_SECONDS
from payment_app.gateways import stripe_events
from payment_app.gateways.base import Authorized, BookEntry, ProviderEvent, Refunded, State
from payment_app.gateways.errors import Declined, OutcomeUnknown
from payment_app.gateways.stripe_errors import is_replayed_fault, translated
from payment_app.gateways.stripe_http import StripeTransport

# What a PaymentIntent's status says about money; in every other status none is held.
STATES: dict[str, State] = {"requires_capture": "authorized", "succeeded": "captured", "canceled": "voided"}
# Stripe wants these in hundredths, though ISO 4217 gives them none.
# Source: https://docs.stripe.com/currencies#special-cases
ODD_CURRENCIES = {"ISK", "UGX"}
PAGE = 100
T = TypeVar("T")
# The library would otherwise write an identifier to the home directory and send it along with timings.
stripe.enable_telemetry = False


class StripeGateway:
    """Speaks to Stripe.

    Args:
        api_key: secret key of the account.
        api_base: another address than api.stripe.com.
        seconds: limit of one call in total, the settling of a stored 5xx included.
        webhook_secret: of the webhook endpoint; without one no webhook is believed.
    """

    def __init__(
        self,
        api_key: str,
        *,
        api_base: str | None = None,
        seconds: float = CALL_SECONDS,
        webhook_secret: str = "",
    ) -> None:
        self._webhook_secret = webhook_secret
        self._transport = StripeTransport(seconds=seconds)
        client = stripe.StripeClient(
            api_key,
            http_client=self._transport,
            base_addresses={"api": api_base.rstrip("/")} if api_base else None,
            max_network_retries=0,
        )
        self._intents = client.v1.payment_intents
        self._refunds = client.v1.refunds

    def authorize(
        self, *, key: UUID | str, order: UUID, amount: int, currency: str, token: str
    ) -> Authorized:
        if currency in ODD_CURRENCIES:
            raise Declined(
                "currency_not_supported", f"{currency} cannot be paid through Stripe here; use another one"
            )
        params: Any = {
            "amount": amount,
            "currency": currency.lower(),
            "capture_method": "manual",
            "confirm": True,
            "error_on_requires_action": True,
            "payment_method_types": ["card"],
            "metadata": {"order": str(order), "key": str(key)},
            **_card(token),
        }
        intent = self._settled(
            lambda: self._intents.create(params, {"idempotency_key": str(key)}),
            lambda: next((i for i in self._search("key", str(key)) if i.status in STATES), None),
        )
        if intent.status not in STATES:
            raise OutcomeUnknown(f"payment intent {intent.id} is {intent.status}, neither held nor refused")
        return Authorized(intent.id)

    def capture(self, *, key: UUID | str, provider_id: str, amount: int) -> None:
        self._settled(
            lambda: self._intents.capture(
                provider_id, {"amount_to_capture": amount}, {"idempotency_key": str(key)}
            ),
            lambda: self._in_status(provider_id, "succeeded"),
        )

    def void(self, *, key: UUID | str, provider_id: str) -> None:
        self._settled(
            lambda: self._intents.cancel(provider_id, {}, {"idempotency_key": str(key)}),
            lambda: self._in_status(provider_id, "canceled"),
        )

    def refund(self, *, key: UUID | str, provider_id: str, amount: int) -> Refunded:
        params: Any = {"payment_intent": provider_id, "amount": amount, "metadata": {"key": str(key)}}
        refund = self._settled(
            lambda: self._refunds.create(params, {"idempotency_key": str(key)}),
            lambda: self._refund_made(provider_id, str(key)),
        )
        if refund.status in {"failed", "canceled"}:
            raise Declined("refund_failed", f"refund {refund.id} is {refund.status}")
        return Refunded(refund.id)

    def find(self, order: UUID) -> list[BookEntry]:
        try:
            return [entry for intent in self._search("order", str(order)) if (entry := _entry(intent))]
        except stripe.StripeError as error:
            raise translated(error) from error

    def books(self, since: datetime | None = None) -> Iterator[BookEntry]:
        params: Any = {"limit": PAGE, "expand": ["data.latest_charge"]}
        if since:
            params["created"] = {"gte": int(since.timestamp())}
        try:
            for intent in self._intents.list(params).auto_paging_iter():
                if entry := _entry(intent):
                    yield entry
        except stripe.StripeError as error:
            raise translated(error) from error

    def event(self, body: bytes, headers: Mapping[str, str]) -> ProviderEvent | None:
        return stripe_events.event(body, headers.get("Stripe-Signature", ""), self._webhook_secret)

    def close(self) -> None:
        self._transport.close()

    def _settled(self, call: Callable[[], T], made: Callable[[], T | None]) -> T:
        """The result of a call, or what `made` finds of it when its key only shows a stored 5xx."""
        with self._transport.limit():
            try:
                return call()
            except stripe.StripeError as error:
                if not is_replayed_fault(error):
                    raise translated(error) from error
                found = self._look(made)
                if found is None:
                    raise translated(error) from error
                return found

    def _look(self, made: Callable[[], T | None]) -> T | None:
        try:
            return made()
        except stripe.StripeError as error:
            raise translated(error) from error

    def _search(self, name: str, value: str) -> list[stripe.PaymentIntent]:
        """Stripe's index is up to a minute late: what it finds is there, what it misses may be there too."""
        query = f"metadata['{name}']:'{value}'"
        return list(
            self._intents.search({"query": query, "expand": ["data.latest_charge"]}).auto_paging_iter()
        )

    def _in_status(self, provider_id: str, status: str) -> stripe.PaymentIntent | None:
        intent = self._intents.retrieve(provider_id)
        return intent if intent.status == status else None

    def _refund_made(self, provider_id: str, key: str) -> stripe.Refund | None:
        refunds = self._refunds.list({"payment_intent": provider_id, "limit": PAGE}).auto_paging_iter()
        return next((refund for refund in refunds if _metadata(refund).get("key") == key), None)


def _card(token: str) -> dict[str, Any]:
    """A PaymentMethod (`pm_…`) by its id, an older card token (`tok_…`) as the data of a new one."""
    if token.startswith("tok_"):
        return {"payment_method_data": {"type": "card", "card": {"token": token}}}
    return {"payment_method": token}


def _entry(intent: stripe.PaymentIntent) -> BookEntry | None:
    state = STATES.get(intent.status)
    if state is None:
        return None
    charge = cast("stripe.Charge | None", intent.latest_charge)
    # Stripe counts what a capture let go as refunded too; only captured money can come back.
    let_go = intent.amount - intent.amount_received
    return BookEntry(
        provider_id=intent.id,
        order=order_id(_metadata(intent).get("order", "")),
        state=state,
        amount=intent.amount,
        captured=intent.amount_received,
        refunded=max(charge.amount_refunded - let_go, 0) if charge else 0,
        currency=intent.currency.upper(),
    )


def _metadata(thing: stripe.PaymentIntent | stripe.Refund) -> dict[str, str]:
    return thing.metadata.to_dict() if thing.metadata else {}
