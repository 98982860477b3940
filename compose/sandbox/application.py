"""The sandbox without HTTP: it routes a request to its endpoint, with faults and idempotency around it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType

from celery_config.sandbox.words import Token
from compose.sandbox import carrier, provider
from compose.sandbox.carrier import SHIPMENTS
from compose.sandbox.control import Control
from compose.sandbox.faults import Faults
from compose.sandbox.http import Answer, Endpoint, NotFound, Request, SandboxError, Shop
from compose.sandbox.idempotency import Keys
from compose.sandbox.limits import CallLimit, TooManyCalls
from compose.sandbox.provider import AUTHORIZATIONS
from compose.sandbox.webhooks import Target, Webhooks

# The event that a webhook sends, by the endpoint and the status of its answer.
EVENTS: dict[tuple[Endpoint, int], str] = {
    (provider.authorize, 201): "authorization.authorized",
    (provider.authorize, 422): "authorization.refused",
    (provider.capture, 200): "authorization.captured",
    (provider.void, 200): "authorization.voided",
    (provider.refund, 201): "refund.refunded",
    (carrier.book, 201): "shipment.booked",
    (carrier.book, 422): "shipment.refused",
    (carrier.cancel, 200): "shipment.cancelled",
    (carrier.dispatch, 200): "shipment.dispatched",
}
SIDES: dict[Endpoint, ModuleType] = {provider.authorize: provider, carrier.book: carrier}
"""By the endpoint that makes something: who knows the faults that the words of its request cause, now and later."""


class Sandbox:
    """Provider, carrier and their control."""

    def __init__(self, shop: Shop, targets: Mapping[str, Target] | None = None) -> None:
        self.faults = Faults(default_seconds=shop.settings.timeout_seconds)
        self.limit = CallLimit()
        self.control = Control(self.faults, self.limit)
        self.webhooks = Webhooks(targets or {}, self.faults, self.control.count)
        self._shop = shop
        self._keys = Keys(shop)
        self._repeats: Counter[str] = Counter()
        self._routes = [(method, _pattern(path), path, endpoint) for method, path, endpoint in self._table()]

    def _table(self) -> list[tuple[str, str, Endpoint]]:
        control = self.control
        return [
            ("POST", "/provider/authorizations", provider.authorize),
            ("POST", "/provider/authorizations/{id}/capture", provider.capture),
            ("POST", "/provider/authorizations/{id}/void", provider.void),
            ("POST", "/provider/refunds", provider.refund),
            ("GET", "/provider/authorizations", AUTHORIZATIONS.page),
            ("GET", "/provider/authorizations/{id}", AUTHORIZATIONS.retrieve),
            ("POST", "/carrier/shipments", carrier.book),
            ("POST", "/carrier/shipments/{id}/cancel", carrier.cancel),
            ("POST", "/carrier/shipments/{id}/dispatch", carrier.dispatch),
            ("GET", "/carrier/shipments", SHIPMENTS.page),
            ("GET", "/carrier/shipments/{id}", SHIPMENTS.retrieve),
            ("POST", "/control/faults", control.plan_fault),
            ("DELETE", "/control/faults", control.clear_faults),
            ("DELETE", "/control/keys", control.forget_keys),
            ("POST", "/control/limit", control.set_limit),
            ("DELETE", "/control/limit", control.end_limit),
            ("GET", "/control/stats", control.stats),
            ("GET", "/healthz", control.healthz),
        ]

    def answer(self, request: Request) -> Answer:
        """Return the answer to a request.

        Raises:
            NoAnswer: a planned fault wants the connection closed.
        """
        try:
            path, endpoint, routed = self._find_route(request)
            self.control.count(f"{request.method} {path}")
            if path.startswith(("/provider/", "/carrier/")):
                return self._answer_outside(endpoint, routed)
            return endpoint(self._shop, routed)
        except SandboxError as error:
            return error.answer()

    def _answer_outside(self, endpoint: Endpoint, request: Request) -> Answer:
        try:
            self.limit.check(request.path.split("/")[1])
        except TooManyCalls:
            self.control.count("answered 429")
            raise
        planned = self.faults.take(request.path)
        self.faults.before(planned)
        keyed = request.method == "POST"
        answer = self._answer_once(endpoint, request) if keyed else endpoint(self._shop, request)
        self.faults.after(planned)
        return replace(answer, copies=2) if planned and planned.kind == "twice" else answer

    def _answer_once(self, endpoint: Endpoint, request: Request) -> Answer:
        side = request.path.split("/")[1]
        maker = SIDES.get(endpoint)
        fault = maker.find_fault(request, self._shop.settings) if maker else None
        answer, stored = self._keys.answer(side, request, endpoint, lambda: self.faults.before(fault))
        if stored:
            self.control.count("answered from the store")
        else:
            self._follow_up(side, endpoint, request, answer)
        if answer.status < 300 and (not stored or self._is_late_again(request)):
            self.faults.after(fault)
        return answer

    def _follow_up(self, side: str, endpoint: Endpoint, request: Request, answer: Answer) -> None:
        """Plan what fails from now on, and send the webhook, for a call that was answered for the first time."""
        if answer.status == 201 and (maker := SIDES.get(endpoint)):
            for path, fault in maker.plan_faults(request, answer, self._shop.settings).items():
                self.faults.plan_lasting(path, fault)
        if (kind := EVENTS.get((endpoint, answer.status))) and not is_always_late(request):
            told = provider.alter_event(request, answer) if endpoint is provider.authorize else answer
            self.webhooks.announce(side, kind, request, told)

    def _is_late_again(self, request: Request) -> bool:
        """Whether this repeat is answered late too; the first few are, for one of the tokens."""
        if not is_always_late(request):
            return False
        self._repeats[request.key] += 1
        return self._repeats[request.key] < provider.LATE_CALLS

    def _find_route(self, request: Request) -> tuple[str, Endpoint, Request]:
        for method, pattern, path, endpoint in self._routes:
            match = pattern.fullmatch(request.path)
            if match and method == request.method:
                return path, endpoint, replace(request, ids=match.groupdict())
        raise NotFound("no_such_endpoint", f"there is no {request.method} {request.path[:200]}")


def is_always_late(request: Request) -> bool:
    """Whether it is about the token whose provider is as good as away: late answers and no webhook."""
    return bool(request.body.get("token") == Token.ALWAYS_LATE)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))
