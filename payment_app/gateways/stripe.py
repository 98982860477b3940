"""Stripe as a gateway, through its official library.

An authorization is a PaymentIntent with manual capture; its metadata carry our order. Stripe keeps the answer of a key
for at least 24 hours, 5xx included. After such a stored 5xx the gateway looks up what really happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar, cast
from uuid import UUID

import stripe

from celery_config.common.identifiers import parse_uuid
from celery_config.common.loading import require_setting
from celery_config.http.client import CALL_SECONDS
from payment_app.gateways import stripe_events
from payment_app.gateways.base import (
    AuthorizationRecord,
    Authorized,
    Operation,
    ProviderEvent,
    Refunded,
    State,
)
from payment_app.gateways.currencies import convert_from_provider, convert_to_provider
from payment_app.gateways.stripe_answers import (
    check_status,
    is_replayed_fault,
    translate_error,
    translate_read_error,
)
from payment_app.gateways.stripe_currencies import CURRENCIES
from payment_app.gateways.stripe_http import StripeTransport

# In every other status of a PaymentIntent, Stripe holds no money.
STATES: dict[str, State] = {"requires_capture": "authorized", "succeeded": "captured", "canceled": "voided"}
PAGE = 100
T = TypeVar("T")
# Otherwise the library writes an identifier to the home directory and sends it with timings.
stripe.enable_telemetry = False


class StripeGateway:
    """Calls Stripe.

    Args:
        api_key: secret key of the account.
        api_base: another address than api.stripe.com.
        seconds: limit of one call in total, the look-up after a stored 5xx included.
        webhook_secret: of the webhook endpoint; without a secret, every webhook is refused.
    """

    currencies = CURRENCIES

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

    @classmethod
    def from_settings(cls, settings: Any, *, seconds: float) -> StripeGateway:
        return cls(
            require_setting(settings, "STRIPE_API_KEY", needed_by="the Stripe gateway"),
            api_base=getattr(settings, "STRIPE_API_BASE", "") or None,
            seconds=seconds,
            webhook_secret=getattr(settings, "STRIPE_WEBHOOK_SECRET", ""),
        )

    def authorize(
        self, *, key: UUID | str, order: UUID, amount: int, currency: str, token: str
    ) -> Authorized:
        params: Any = {
            "amount": convert_to_provider(CURRENCIES, amount, currency),
            "currency": currency.lower(),
            "capture_method": "manual",
            "confirm": True,
            "error_on_requires_action": True,
            "payment_method_types": ["card"],
            "metadata": {"order": str(order), "key": str(key)},
            **_describe_card(token),
        }
        with self._transport.limit():
            intent = self._call(
                lambda: self._intents.create(params, {"idempotency_key": str(key)}),
                lambda: next((i for i in self._search("key", str(key)) if i.status in STATES), None),
            )
            return Authorized(self._check_intent("authorize", intent).id)

    def capture(self, *, key: UUID | str, provider_id: str, amount: int, currency: str) -> None:
        params: Any = {"amount_to_capture": convert_to_provider(CURRENCIES, amount, currency)}
        with self._transport.limit():
            intent = self._call(
                lambda: self._intents.capture(provider_id, params, {"idempotency_key": str(key)}),
                lambda: self._find_in_status(provider_id, "succeeded"),
            )
            self._check_intent("capture", intent)

    def void(self, *, key: UUID | str, provider_id: str) -> None:
        with self._transport.limit():
            intent = self._call(
                lambda: self._intents.cancel(provider_id, {}, {"idempotency_key": str(key)}),
                lambda: self._find_in_status(provider_id, "canceled"),
            )
            self._check_intent("void", intent)

    def refund(self, *, key: UUID | str, provider_id: str, amount: int, currency: str) -> Refunded:
        params: Any = {
            "payment_intent": provider_id,
            "amount": convert_to_provider(CURRENCIES, amount, currency),
            "metadata": {"key": str(key)},
        }
        with self._transport.limit():
            refund = self._call(
                lambda: self._refunds.create(params, {"idempotency_key": str(key)}),
                lambda: self._find_refund(provider_id, str(key)),
            )
        check_status("refund", refund)
        return Refunded(refund.id)

    def find_entries(self, order: UUID) -> list[AuthorizationRecord]:
        found = self._read(lambda: self._search("order", str(order)))
        return [record for intent in found if (record := _make_record(intent))]

    def list_entries(self, since: datetime | None = None) -> Iterator[AuthorizationRecord]:
        params: Any = {"limit": PAGE, "expand": ["data.latest_charge"]}
        if since:
            params["created"] = {"gte": int(since.timestamp())}
        try:
            for intent in self._intents.list(params).auto_paging_iter():
                if record := _make_record(intent):
                    yield record
        except stripe.StripeError as error:
            raise translate_read_error(error) from error

    def read_event(self, body: bytes, headers: Mapping[str, str]) -> ProviderEvent | None:
        return stripe_events.read_event(body, headers.get("Stripe-Signature", ""), self._webhook_secret)

    def _call(self, call: Callable[[], T], made: Callable[[], T | None]) -> T:
        """The result of a call; when the key only shows a stored 5xx, what `made` finds of it."""
        try:
            return call()
        except stripe.StripeError as error:
            found = self._read(made) if is_replayed_fault(error) else None
            if found is None:
                raise translate_error(error) from error
            return found

    def _check_intent(self, operation: Operation, intent: stripe.PaymentIntent) -> stripe.PaymentIntent:
        """Return the intent if it proves that the call is done.

        A repeat of the call gets the stored answer again, so an intent that was `processing` is looked up.

        Raises:
            Refused, OutcomeUnknown: as in `check_status`.
        """
        if getattr(intent, "status", None) == "processing":
            intent = self._read(lambda: self._intents.retrieve(intent.id))
        check_status(operation, intent)
        return intent

    def _read(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except stripe.StripeError as error:
            raise translate_read_error(error) from error

    def _search(self, name: str, value: str) -> list[stripe.PaymentIntent]:
        """Search Stripe's index, which is up to a minute late: what it does not find may exist too."""
        query = f"metadata['{name}']:'{value}'"
        return list(
            self._intents.search({"query": query, "expand": ["data.latest_charge"]}).auto_paging_iter()
        )

    def _find_in_status(self, provider_id: str, status: str) -> stripe.PaymentIntent | None:
        intent = self._intents.retrieve(provider_id)
        return intent if intent.status == status else None

    def _find_refund(self, provider_id: str, key: str) -> stripe.Refund | None:
        refunds = self._refunds.list({"payment_intent": provider_id, "limit": PAGE}).auto_paging_iter()
        return next((refund for refund in refunds if _metadata(refund).get("key") == key), None)


def _describe_card(token: str) -> dict[str, Any]:
    """A PaymentMethod (`pm_…`) by its id, an older card token (`tok_…`) as the data of a new one."""
    if token.startswith("tok_"):
        return {"payment_method_data": {"type": "card", "card": {"token": token}}}
    return {"payment_method": token}


def _make_record(intent: stripe.PaymentIntent) -> AuthorizationRecord | None:
    state = STATES.get(intent.status)
    if state is None:
        return None
    charge = cast("stripe.Charge | None", intent.latest_charge)
    # Stripe counts what a capture released as refunded too; only captured money can come back.
    released = intent.amount - intent.amount_received
    currency = intent.currency.upper()

    def ours(amount: int) -> int:
        return convert_from_provider(CURRENCIES, amount, currency)

    return AuthorizationRecord(
        provider_id=intent.id,
        order=parse_uuid(_metadata(intent).get("order", "")),
        state=state,
        amount=ours(intent.amount),
        captured=ours(intent.amount_received),
        refunded=ours(max(charge.amount_refunded - released, 0)) if charge else 0,
        currency=currency,
    )


def _metadata(thing: stripe.PaymentIntent | stripe.Refund) -> dict[str, str]:
    return thing.metadata.to_dict() if thing.metadata else {}
