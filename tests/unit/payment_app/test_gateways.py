"""Both gateways against a provider that is there: the sandbox process, and Stripe's API on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest

from celery_config.errors import CalledTooOften, CallFailed, OutcomeUnknown, Refused
from celery_config.http.sandbox_client import INVALID
from payment_app import gateways
from payment_app.gateways import (
    AuthorizationRecord,
    Gateway,
    SandboxGateway,
    StripeGateway,
)
from payment_app.gateways.base import Operation
from payment_app.gateways.stripe_answers import STATUSES, Proof
from tests.bench.instant_gateway import InstantGateway
from tests.unit.compose.sandbox.sandbox_process import TIMEOUT_SECONDS, SandboxProcess
from tests.unit.payment_app.stripe_server import API_KEY, StripeServer, stripe_server

SECONDS = 1.0
STRIPE_ANSWERS = json.loads(Path(__file__).with_name("stripe_answers.json").read_text())
LONG = "c" * 65
T = TypeVar("T")


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox") / "sandbox.sqlite3").start()
    yield process
    process.stop()


@pytest.fixture
def sandbox(process: SandboxProcess) -> Iterator[SandboxGateway]:
    gateway = SandboxGateway(process.url, seconds=SECONDS)
    yield gateway
    process.clear_faults()


@pytest.fixture
def server() -> Iterator[StripeServer]:
    with stripe_server() as server:
        yield server


@pytest.fixture
def stripe(server: StripeServer) -> StripeGateway:
    return StripeGateway(API_KEY, api_base=server.url, seconds=SECONDS)


@pytest.fixture(params=["sandbox", "stripe"])
def gateway(request: pytest.FixtureRequest) -> Gateway:
    chosen: Gateway = request.getfixturevalue(request.param)
    return chosen


def token(gateway: Gateway, meaning: str) -> str:
    at_stripe = {
        "approved": "pm_card_visa",
        "card_declined": "pm_card_chargeDeclined",
        "insufficient_funds": "pm_card_chargeDeclinedInsufficientFunds",
        "invalid_token": "pm_nobody_knows",
    }
    return at_stripe[meaning] if isinstance(gateway, StripeGateway) else f"tok_{meaning}"


def authorize(gateway: Gateway, **changes: Any) -> str:
    call: dict[str, Any] = {
        "key": uuid4(),
        "order": uuid4(),
        "amount": 1250,
        "currency": "EUR",
        "token": token(gateway, "approved"),
    }
    return gateway.authorize(**(call | changes)).provider_id


def entry(gateway: Gateway, order: UUID) -> AuthorizationRecord:
    (found,) = gateway.find_entries(order)
    return found


class TestEveryGateway:
    """What holds whoever the provider is."""

    def test_money_is_held_taken_and_given_back(self, gateway: Gateway) -> None:
        order = uuid4()
        held = authorize(gateway, order=order)
        assert entry(gateway, order) == AuthorizationRecord(held, order, "authorized", 1250, 0, 0, "EUR")
        gateway.capture(key=uuid4(), provider_id=held, amount=1000, currency="EUR")
        assert entry(gateway, order) == AuthorizationRecord(held, order, "captured", 1250, 1000, 0, "EUR")
        first = gateway.refund(key=uuid4(), provider_id=held, amount=300, currency="EUR")
        assert (
            first.refund_id
            != gateway.refund(key=uuid4(), provider_id=held, amount=700, currency="EUR").refund_id
        )
        assert entry(gateway, order).refunded == 1000
        with pytest.raises(Refused, match="amount_too_large"):
            gateway.refund(key=uuid4(), provider_id=held, amount=1, currency="EUR")

    def test_the_same_key_does_its_work_once(self, gateway: Gateway) -> None:
        order, keys = uuid4(), [uuid4() for _ in range(3)]
        held = {authorize(gateway, key=keys[0], order=order) for _ in range(3)}
        (provider_id,) = held
        for _ in range(2):
            gateway.capture(key=keys[1], provider_id=provider_id, amount=1250, currency="EUR")
        refunds = {
            gateway.refund(key=keys[2], provider_id=provider_id, amount=50, currency="EUR") for _ in range(2)
        }
        assert len(refunds) == 1
        assert entry(gateway, order) == AuthorizationRecord(
            provider_id, order, "captured", 1250, 1250, 50, "EUR"
        )

    @pytest.mark.parametrize("code", ["card_declined", "insufficient_funds", "invalid_token"])
    def test_a_refused_card_is_declined_every_time(self, gateway: Gateway, code: str) -> None:
        order, key = uuid4(), uuid4()
        for _ in range(2):
            with pytest.raises(Refused) as declined:
                authorize(gateway, key=key, order=order, token=token(gateway, code))
            assert declined.value.code == code
            assert declined.value.reason
        assert gateway.find_entries(order) == []

    def test_captured_twice_and_voided_after_capture(self, gateway: Gateway) -> None:
        held = authorize(gateway)
        with pytest.raises(Refused, match="amount_too_large"):
            gateway.capture(key=uuid4(), provider_id=held, amount=1251, currency="EUR")
        gateway.capture(key=uuid4(), provider_id=held, amount=1250, currency="EUR")
        with pytest.raises(Refused, match="already_captured"):
            gateway.capture(key=uuid4(), provider_id=held, amount=1250, currency="EUR")
        with pytest.raises(Refused, match="already_captured"):
            gateway.void(key=uuid4(), provider_id=held)

    def test_voided_once(self, gateway: Gateway) -> None:
        order, key = uuid4(), uuid4()
        held = authorize(gateway, order=order)
        for _ in range(2):
            gateway.void(key=key, provider_id=held)
        assert entry(gateway, order).state == "voided"
        with pytest.raises(Refused, match="already_voided"):
            gateway.capture(key=uuid4(), provider_id=held, amount=1250, currency="EUR")

    def test_when_its_keys_are_forgotten_only_the_records_tell_what_was_done(
        self, gateway: Gateway, request: pytest.FixtureRequest
    ) -> None:
        """Rule 8 (effects outside): so it is looked up first. Only what has a state of its own is not done twice."""
        provider: Any = request.getfixturevalue("server" if isinstance(gateway, StripeGateway) else "process")
        order, keys = uuid4(), [uuid4() for _ in range(4)]
        held, other = (authorize(gateway, order=order, key=key) for key in keys[:2])
        gateway.capture(key=keys[2], provider_id=held, amount=1000, currency="EUR")
        gateway.void(key=keys[3], provider_id=other)
        provider.forget_keys()
        assert {entry.provider_id for entry in gateway.find_entries(order)} == {held, other}
        assert authorize(gateway, order=order, key=keys[0]) not in {held, other}
        with pytest.raises(Refused, match="already_captured"):
            gateway.capture(key=keys[2], provider_id=held, amount=1000, currency="EUR")
        with pytest.raises(Refused, match="already_voided"):
            gateway.void(key=keys[3], provider_id=other)

    def test_a_key_used_for_another_request_fails_loudly(self, gateway: Gateway) -> None:
        key, order = uuid4(), uuid4()
        authorize(gateway, key=key, order=order)
        with pytest.raises(CallFailed):
            authorize(gateway, key=key, order=order, amount=1)

    def test_of_an_unknown_authorization_nothing_is_done(self, gateway: Gateway) -> None:
        with pytest.raises(Refused, match="invalid_request"):
            gateway.void(key=uuid4(), provider_id="nothing")

    def test_the_books_show_every_entry_over_many_pages(
        self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("celery_config.http.sandbox_client.PAGE", "2")
        monkeypatch.setattr("payment_app.gateways.stripe.PAGE", 2)
        made = {authorize(gateway) for _ in range(5)}
        listed = [entry.provider_id for entry in gateway.list_entries()]
        assert made <= set(listed)
        assert len(listed) == len(set(listed))
        assert list(gateway.list_entries(since=datetime(2100, 1, 1, tzinfo=UTC))) == []

    def test_sixteen_calls_with_one_key_hold_the_money_once(self, gateway: Gateway) -> None:
        order, key, start = uuid4(), uuid4(), threading.Barrier(16)

        def call(_: int) -> str | None:
            start.wait()
            try:
                return authorize(gateway, key=key, order=order)
            except OutcomeUnknown:
                return None

        with ThreadPoolExecutor(16) as pool:
            answers = set(pool.map(call, range(16)))
        assert answers - {None} == {entry(gateway, order).provider_id}

    def test_nobody_there_is_unknown_and_soon(self, gateway: Gateway) -> None:
        away = (
            StripeGateway(API_KEY, api_base="http://127.0.0.1:9", seconds=SECONDS)
            if isinstance(gateway, StripeGateway)
            else SandboxGateway("http://127.0.0.1:9", seconds=SECONDS)
        )
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            authorize(away)
        with pytest.raises(OutcomeUnknown):
            away.find_entries(uuid4())
        assert time.monotonic() - began < 2 * SECONDS


@contextmanager
def parrot() -> Iterator[str]:
    """A server that answers each call as it answered the first one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            keys.append(self.headers["Idempotency-Key"])
            body = b'{"id": "auth_1"}'
            self.send_response(201)
            self.send_header("Idempotency-Key", keys[0])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    keys: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextmanager
def answering(status: int, body: object) -> Iterator[str]:
    """A server that answers every call so."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class TestSandbox:
    """Faults of the sandbox as a caller of the gateway sees them."""

    def test_a_time_out_is_unknown_and_a_repeat_shows_the_charge(self, sandbox: SandboxGateway) -> None:
        order, key, began = uuid4(), uuid4(), time.monotonic()
        with pytest.raises(OutcomeUnknown, match="ReadTimeout"):
            authorize(sandbox, key=key, order=order, token="tok_timeout_then_succeeds")
        assert SECONDS <= time.monotonic() - began < SECONDS + 0.5 < TIMEOUT_SECONDS
        held = authorize(sandbox, key=key, order=order, token="tok_timeout_then_succeeds")
        assert entry(sandbox, order).provider_id == held

    def test_an_error_after_charging_is_unknown_and_a_repeat_shows_the_charge(
        self, sandbox: SandboxGateway
    ) -> None:
        order, key = uuid4(), uuid4()
        with pytest.raises(OutcomeUnknown, match="500"):
            authorize(sandbox, key=key, order=order, token="tok_error_after_charging")
        held = authorize(sandbox, key=key, order=order, token="tok_error_after_charging")
        assert entry(sandbox, order).provider_id == held

    def test_a_slow_answer_within_the_limit_is_an_answer(self, sandbox: SandboxGateway) -> None:
        assert authorize(sandbox, token="tok_slow")

    def test_a_connection_cut_after_the_work_is_repeated_with_the_same_key(
        self, sandbox: SandboxGateway, process: SandboxProcess
    ) -> None:
        order = uuid4()
        process.fault("/provider", "drop", count=2)
        held = authorize(sandbox, order=order)
        assert entry(sandbox, order).provider_id == held
        process.fault("/provider", "drop", count=3)
        with pytest.raises(OutcomeUnknown, match="RemoteProtocolError"):
            authorize(sandbox)

    def test_a_second_answer_is_not_taken_for_the_next_calls(
        self, sandbox: SandboxGateway, process: SandboxProcess
    ) -> None:
        for _ in range(5):
            orders = [uuid4(), uuid4()]
            process.fault("/provider", "twice")
            held = [authorize(sandbox, order=order) for order in orders]
            assert [entry(sandbox, order).provider_id for order in orders] == held

    def test_a_second_answer_that_comes_late_is_known_by_its_key(self) -> None:
        with parrot() as url:
            gateway = SandboxGateway(url, seconds=SECONDS)
            key = uuid4()
            first = authorize(gateway, key=key)
            with pytest.raises(OutcomeUnknown, match="answers another call"):
                authorize(gateway)
            assert authorize(gateway, key=key) == first

    @pytest.mark.parametrize(
        ("code", "reason", "shown"),
        [
            ("insufficient_funds", "no\x00 money \ud83d", "insufficient_funds: no money"),
            (LONG, "no", "card_declined: no"),
            (["card_declined"], {"en": "no"}, "card_declined: 422"),
            ("card_declined", "n" * 10_000, "card_declined: " + "n" * 499 + "…"),
        ],
    )
    def test_strange_words_become_a_known_code_and_a_short_text(
        self, code: object, reason: object, shown: str
    ) -> None:
        with answering(422, {"error": {"code": code, "reason": reason}}) as url, pytest.raises(Refused) as no:
            authorize(SandboxGateway(url, seconds=SECONDS))
        assert str(no.value) == shown

    @pytest.mark.parametrize(
        ("status", "code", "proves"),
        [
            *((status, code, Refused) for code, status in INVALID.items()),
            (422, "card_declined", Refused),
            (404, "no_such_endpoint", CallFailed),
            (404, "", CallFailed),
            (400, "", CallFailed),
            (403, "", CallFailed),
            (409, "idempotency_conflict", CallFailed),
            (408, "", CallFailed),
            (500, "internal_error", OutcomeUnknown),
            (503, "", OutcomeUnknown),
        ],
    )
    def test_what_an_answer_proves(self, status: int, code: str, proves: type[Exception]) -> None:
        with (
            answering(status, {"error": {"code": code, "reason": "no"}}) as url,
            pytest.raises(proves) as end,
        ):
            authorize(SandboxGateway(url, seconds=SECONDS))
        assert type(end.value) is proves
        if proves is Refused:
            assert end.value.code == (code if status == 422 else "invalid_request")  # type: ignore[attr-defined]

    @pytest.mark.parametrize("status", [400, 404, 422])
    def test_a_list_that_is_refused_proves_nothing(self, status: int) -> None:
        error = {"error": {"code": "not_found", "reason": "no"}}
        with answering(status, error) as url, pytest.raises(CallFailed):
            SandboxGateway(url, seconds=SECONDS).find_entries(uuid4())

    @pytest.mark.parametrize(
        "body", [{}, {"id": ["auth_1"]}, {"id": "auth\x00"}, {"id": "a" * 300}, b"\xff", []]
    )
    def test_an_answer_that_names_nothing_is_unknown(self, body: object) -> None:
        with answering(201, body) as url, pytest.raises(OutcomeUnknown):
            authorize(SandboxGateway(url, seconds=SECONDS))

    def test_a_faults_text_can_be_stored(self) -> None:
        with answering(500, b"down\x00 for\r\nlunch") as url, pytest.raises(OutcomeUnknown) as unknown:
            authorize(SandboxGateway(url, seconds=SECONDS))
        assert str(unknown.value).endswith("answered 500: down for lunch")

    def test_killed_between_charge_and_answer(self, tmp_path: Path) -> None:
        process = SandboxProcess(tmp_path / "sandbox.sqlite3").start()
        gateway = SandboxGateway(process.url, seconds=SECONDS * 2)
        order, key = uuid4(), uuid4()
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(authorize, gateway, key=key, order=order, token="tok_timeout_then_succeeds")
            until = time.monotonic() + 2
            while not gateway.find_entries(order):
                assert time.monotonic() < until, "the charge never appeared"
            process.kill()
            assert isinstance(call.exception(), OutcomeUnknown)
        process.start()
        held = authorize(gateway, key=key, order=order, token="tok_timeout_then_succeeds")
        assert entry(gateway, order).provider_id == held
        process.stop()


MISSING = {"type": "invalid_request_error", "code": "resource_missing"}


def unexpected(status: str) -> dict[str, Any]:
    """The error of a call that does not fit the intent's status."""
    intent = {"id": "pi_1", "object": "payment_intent", "status": status}
    code = "payment_intent_unexpected_state"
    return {"type": "invalid_request_error", "code": code, "payment_intent": intent}


class TestStripe:
    """What only Stripe does."""

    def test_a_stored_500_after_charging_is_settled_by_what_happened(
        self, stripe: StripeGateway, server: StripeServer
    ) -> None:
        order, keys = uuid4(), [uuid4() for _ in range(5)]
        held = twice(server, lambda: authorize(stripe, key=keys[0], order=order))
        assert list(server.intents) == [held]
        twice(server, lambda: stripe.capture(key=keys[1], provider_id=held, amount=1250, currency="EUR"))
        assert entry(stripe, order).captured == 1250
        refund = twice(
            server, lambda: stripe.refund(key=keys[2], provider_id=held, amount=10, currency="EUR")
        )
        assert [made["id"] for made in server.refunds] == [refund.refund_id]
        dropped = authorize(stripe, key=keys[3], order=order)
        twice(server, lambda: stripe.void(key=keys[4], provider_id=dropped))
        assert server.intents[dropped]["status"] == "canceled"

    def test_a_stored_500_that_did_nothing_stays_unknown(
        self, stripe: StripeGateway, server: StripeServer
    ) -> None:
        key, order = uuid4(), uuid4()
        server.error_before = 1
        for _ in range(3):
            with pytest.raises(OutcomeUnknown):
                authorize(stripe, key=key, order=order)
        assert server.intents == {}

    def test_a_time_out_and_a_key_in_use_are_unknown(
        self, stripe: StripeGateway, server: StripeServer
    ) -> None:
        order, key, server.hold = uuid4(), uuid4(), threading.Event()
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown, match="ReadTimeout"):
            authorize(stripe, key=key, order=order)
        assert SECONDS <= time.monotonic() - began < SECONDS + 0.5
        with pytest.raises(OutcomeUnknown, match="409"):
            authorize(stripe, key=key, order=order)
        server.hold.set()
        assert server.held.is_set()
        until = time.monotonic() + 3
        while not (held := held_or_none(stripe, key, order)):
            assert time.monotonic() < until, "the first call never ended"
        assert list(server.intents) == [held]

    def test_a_dripping_answer_does_not_stretch_the_limit(
        self, stripe: StripeGateway, server: StripeServer
    ) -> None:
        server.drip_seconds = 0.05
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown, match=r"limit of the whole call|timed out"):
            authorize(stripe)
        assert time.monotonic() - began < SECONDS + 0.5

    def test_what_is_sent_and_kept(self, stripe: StripeGateway, server: StripeServer) -> None:
        order, key = uuid4(), uuid4()
        authorize(stripe, key=key, order=order, token="tok_visa", amount=999, currency="GBP")
        _, _, form = server.requests[0]
        assert (form["amount"], form["currency"], form["capture_method"]) == ("999", "gbp", "manual")
        assert form["payment_method_data[card][token]"] == "tok_visa"
        assert (form["metadata[order]"], form["metadata[key]"]) == (str(order), str(key))

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"amount": 1}, "amount_too_small"),
            ({"token": "tok_nobody_knows"}, "invalid_token"),
            ({"token": "pm_card_chargeDeclinedExpiredCard"}, "expired_card"),
            ({"currency": "IRR"}, "currency_not_supported"),
            ({"currency": "KWD", "amount": 12345}, "amount_not_payable"),
        ],
    )
    def test_other_refusals(self, stripe: StripeGateway, changes: dict[str, Any], code: str) -> None:
        with pytest.raises(Refused) as declined:
            authorize(stripe, **changes)
        assert declined.value.code == code

    @pytest.mark.parametrize(
        ("status", "error", "proves"),
        [
            (402, {"type": "card_error", "code": "expired_card"}, "expired_card"),
            (402, {"type": "card_error", "code": "brand_new_code"}, "card_declined"),
            (402, {"type": "invalid_request_error"}, "card_declined"),
            (400, {"type": "invalid_request_error"}, "invalid_request"),
            (400, {"type": "invalid_request_error", "code": "amount_too_small"}, "amount_too_small"),
            (400, {"type": "invalid_request_error", "code": "amount_too_large"}, "amount_too_large"),
            (400, {"type": "invalid_request_error", "code": "charge_already_refunded"}, "amount_too_large"),
            (400, {"type": "invalid_request_error", "param": "currency"}, "currency_not_supported"),
            (400, {"type": "invalid_request_error", "code": ["x"], "param": {"a": 1}}, "invalid_request"),
            (404, {**MISSING, "param": "payment_method"}, "invalid_token"),
            (404, MISSING, "invalid_request"),
            (400, unexpected("succeeded"), "already_captured"),
            (400, unexpected("canceled"), "already_voided"),
            (400, unexpected("requires_action"), "unexpected_state"),
            (400, unexpected("processing"), OutcomeUnknown),
            (404, {"type": "invalid_request_error"}, CallFailed),
            (400, {"type": "idempotency_error"}, CallFailed),
            (401, {"type": "invalid_request_error"}, CallFailed),
            (403, {"type": "invalid_request_error"}, CallFailed),
            (429, {"type": "invalid_request_error", "code": "lock_timeout"}, CalledTooOften),
            (409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}, OutcomeUnknown),
            (424, {"type": "api_error"}, OutcomeUnknown),
            (500, {"type": "api_error"}, OutcomeUnknown),
            (503, {"type": "api_error"}, OutcomeUnknown),
        ],
    )  # fmt: skip
    def test_what_an_error_proves(
        self,
        stripe: StripeGateway,
        server: StripeServer,
        status: int,
        error: dict[str, Any],
        proves: str | type[Exception],
    ) -> None:
        server.answer = status, {"error": {"message": "no", **error}}
        with pytest.raises((Refused, OutcomeUnknown, CallFailed)) as end:
            authorize(stripe)
        assert (end.value.code if isinstance(end.value, Refused) else type(end.value)) == proves

    @pytest.mark.parametrize(
        ("operation", "status"),
        [(each, status) for each in STATUSES for status in [*STATUSES[each], "brand_new"]],
    )
    def test_what_a_status_proves(
        self, stripe: StripeGateway, server: StripeServer, operation: Operation, status: str
    ) -> None:
        """The call is answered 200 with this status, and so is every look-up."""
        held = authorize(stripe)
        server.intents[held]["status"] = status
        server.answer = (
            200,
            {**server.intents[held], "object": "refund" if operation == "refund" else "payment_intent"},
        )
        calls: dict[str, Callable[[], Any]] = {
            "authorize": lambda: authorize(stripe),
            "capture": lambda: stripe.capture(key=uuid4(), provider_id=held, amount=1250, currency="EUR"),
            "void": lambda: stripe.void(key=uuid4(), provider_id=held),
            "refund": lambda: stripe.refund(key=uuid4(), provider_id=held, amount=1250, currency="EUR"),
        }
        proof = STATUSES[operation].get(status, Proof.NOT_KNOWN)
        if proof == Proof.DONE:
            calls[operation]()
            return
        with pytest.raises(OutcomeUnknown if proof == Proof.NOT_KNOWN else Refused) as end:
            calls[operation]()
        assert f"is {status} at Stripe" in str(end.value)
        if isinstance(end.value, Refused):
            assert end.value.code == proof

    @pytest.mark.parametrize(
        ("status", "code"), [("requires_capture", ""), ("requires_payment_method", "card_declined")]
    )
    def test_an_intent_that_is_processing_is_polled(
        self, stripe: StripeGateway, server: StripeServer, status: str, code: str
    ) -> None:
        """Stripe stores the first answer under the key: each repeat looks the intent up."""
        order, key = uuid4(), uuid4()
        server.first_status = "processing"
        for _ in range(2):
            with pytest.raises(OutcomeUnknown, match="processing at Stripe"):
                authorize(stripe, key=key, order=order)
        (intent,) = server.intents.values()
        intent["status"] = status
        if not code:
            assert authorize(stripe, key=key, order=order) == intent["id"]
            return
        intent["last_payment_error"] = {"type": "card_error", "message": "Your bank said no."}
        with pytest.raises(Refused, match=f"{code}: Your bank said no"):
            authorize(stripe, key=key, order=order)

    def test_a_look_up_that_is_refused_proves_nothing(
        self, stripe: StripeGateway, server: StripeServer
    ) -> None:
        held = authorize(stripe)
        server.answer = 200, {**server.intents.pop(held), "status": "processing"}
        with pytest.raises(CallFailed, match="No such payment_intent"):
            stripe.capture(key=uuid4(), provider_id=held, amount=1250, currency="EUR")

    @pytest.mark.parametrize("kind", STRIPE_ANSWERS)
    def test_strange_words_become_a_known_code_and_a_short_text(
        self, stripe: StripeGateway, server: StripeServer, kind: str
    ) -> None:
        server.answer = STRIPE_ANSWERS[kind]
        with pytest.raises(Refused) as declined:
            authorize(stripe)
        assert declined.value.code == "card_declined"
        shown = {"NUL": "Your card was declined.", "half a surrogate pair": "Declined here"}
        assert declined.value.reason == shown.get(kind, "no" if "65" in kind else "card_declined")

    @pytest.mark.parametrize("status", [400, 402, 404, 409, 500])
    @pytest.mark.parametrize("answer", [{"error": "no"}, {"error": None}, {"error": ["no"]}, ["no"], {}])
    def test_an_error_that_cannot_be_read_proves_nothing(
        self, stripe: StripeGateway, server: StripeServer, status: int, answer: Any
    ) -> None:
        server.answer = (status, answer)
        with pytest.raises(OutcomeUnknown, match=f"answered {status}"):
            authorize(stripe)

    @pytest.mark.parametrize(
        "answer",
        [
            ["no"],
            None,
            {},
            {"object": "payment_intent", "id": "pi_1"},
            {"object": "payment_intent", "id": "pi_1", "status": ["no"]},
            {"object": "payment_intent", "id": {"no": 1}, "status": "requires_capture"},
        ],
    )
    def test_a_success_that_cannot_be_read_proves_nothing(
        self, stripe: StripeGateway, server: StripeServer, answer: Any
    ) -> None:
        server.answer = (200, answer)
        with pytest.raises(OutcomeUnknown):
            authorize(stripe)

    def test_a_wrong_api_key_is_no_refusal_of_the_card(self, server: StripeServer) -> None:
        with pytest.raises(CallFailed, match="AuthenticationError"):
            authorize(StripeGateway("sk_test_wrong", api_base=server.url, seconds=SECONDS))


def twice(server: StripeServer, call: Callable[[], T]) -> T:
    """The first call does its work and ends in a 500; the second one, with the same key, must find it."""
    server.error_after = 1
    with pytest.raises(OutcomeUnknown):
        call()
    return call()


def held_or_none(stripe: StripeGateway, key: UUID, order: UUID) -> str | None:
    try:
        return authorize(stripe, key=key, order=order)
    except OutcomeUnknown:
        return None


def make_gateway(name: str, **settings: str) -> Gateway:
    return gateways.make_gateway(SimpleNamespace(PAYMENT_GATEWAY=name, **settings), seconds=1.0)


class GatewayWithoutTable:
    def __init__(self, settings: Any, *, seconds: float) -> None:
        pass


def test_the_settings_choose_the_gateway() -> None:
    at_sandbox = make_gateway("sandbox", SANDBOX_URL="http://127.0.0.1:8090")
    assert isinstance(at_sandbox, SandboxGateway)
    at_stripe = make_gateway("stripe", STRIPE_API_KEY="sk_test_x", STRIPE_API_BASE="")
    assert isinstance(at_stripe, StripeGateway)
    with pytest.raises(ValueError, match="needs STRIPE_API_KEY"):
        make_gateway("stripe")
    with pytest.raises(ValueError, match="set it to sandbox, stripe or"):
        make_gateway("cash")
    with pytest.raises(ValueError, match="no currencies"):
        make_gateway("tests.unit.payment_app.test_gateways.GatewayWithoutTable")
    assert isinstance(make_gateway("tests.bench.instant_gateway.InstantGateway"), InstantGateway)
