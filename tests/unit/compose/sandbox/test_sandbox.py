"""The sandbox as anybody sees it over HTTP: validation, idempotency, books, faults, crash and restart."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

import httpx
import pytest

from celery_config.sandbox.words import CANCEL_FAILS, DISPATCH_FAILS, UNHURRIED, Token
from compose.sandbox.faults import Kind
from compose.sandbox.http import Answer, Request
from compose.sandbox.provider import APPROVED, DECLINES, alter_event
from tests.unit.compose.sandbox.sandbox_process import (
    REPOSITORY,
    SLOW_SECONDS,
    TIMEOUT_SECONDS,
    SandboxProcess,
)

AUTHORIZATIONS = "/provider/authorizations"
ADDRESS = {"name": "Ada", "line1": "1 Mill Lane", "city": "York", "postal_code": "YO1 7HH", "country": "GB"}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox") / "sandbox.sqlite3").start()
    yield process
    assert process.stop() == 0


@pytest.fixture
def http(sandbox: SandboxProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.url, timeout=15) as client:
        yield client
    sandbox.clear_faults()


def payment(**changes: Any) -> dict[str, Any]:
    return {
        "amount": 1250,
        "currency": "EUR",
        "token": "tok_approved",
        "reference": str(uuid4()),
        "metadata": {"order": "1"},
    } | changes


def shipment(**changes: Any) -> dict[str, Any]:
    return {"reference": str(uuid4()), "address": ADDRESS, "weight_grams": 900, "parcels": 1} | changes


def post(http: httpx.Client, path: str, body: Any, key: str | None = None) -> httpx.Response:
    return http.post(path, json=body, headers={"Idempotency-Key": key or uuid4().hex})


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def booked(http: httpx.Client, reference: str, path: str = AUTHORIZATIONS) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = http.get(path, params={"reference": reference}).json()["items"]
    return items


def test_a_payment_is_authorized_captured_and_refunded_in_parts(http: httpx.Client) -> None:
    body = payment()
    made = post(http, AUTHORIZATIONS, body).json()
    assert (made["status"], made["amount"], made["currency"]) == ("authorized", 1250, "EUR")
    assert (
        post(http, f"{AUTHORIZATIONS}/{made['id']}/capture", {"amount": 1000}).json()["status"] == "captured"
    )
    for amount in (400, 600):
        refund = post(http, "/provider/refunds", {"authorization": made["id"], "amount": amount})
        assert (refund.status_code, refund.json()["status"]) == (201, "refunded")
    too_much = post(http, "/provider/refunds", {"authorization": made["id"], "amount": 1})
    assert code(too_much) == (422, "amount_too_large")
    entry = http.get(f"{AUTHORIZATIONS}/{made['id']}").json()
    assert (entry["captured"], entry["refunded"], entry["metadata"]) == (1000, 1000, {"order": "1"})
    assert booked(http, body["reference"]) == [entry]


@pytest.mark.parametrize(
    ("token", "refusal"),
    [
        ("tok_card_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_nobody_knows", "invalid_token"),
    ],
)
def test_a_refusal_is_stored_like_any_answer_and_leaves_no_entry(
    http: httpx.Client, token: str, refusal: str
) -> None:
    body, key = payment(token=token), uuid4().hex
    first, repeat = (post(http, AUTHORIZATIONS, body, key) for _ in range(2))
    assert code(first) == (422, refusal)
    assert (repeat.status_code, repeat.content) == (first.status_code, first.content)
    assert booked(http, body["reference"]) == []


def test_capture_void_and_refund_know_the_state(http: httpx.Client) -> None:
    taken, let_go = (post(http, AUTHORIZATIONS, payment()).json()["id"] for _ in range(2))
    assert code(post(http, f"{AUTHORIZATIONS}/{taken}/capture", {"amount": 1251})) == (
        422,
        "amount_too_large",
    )
    assert code(post(http, "/provider/refunds", {"authorization": taken, "amount": 1})) == (
        422,
        "not_captured",
    )
    assert post(http, f"{AUTHORIZATIONS}/{taken}/capture", {"amount": 1250}).status_code == 200
    assert post(http, f"{AUTHORIZATIONS}/{let_go}/void", {}).json()["status"] == "voided"
    assert code(post(http, f"{AUTHORIZATIONS}/{taken}/capture", {"amount": 1})) == (422, "already_captured")
    assert code(post(http, f"{AUTHORIZATIONS}/{taken}/void", {})) == (422, "already_captured")
    assert code(post(http, f"{AUTHORIZATIONS}/{let_go}/capture", {"amount": 1})) == (422, "already_voided")
    assert code(post(http, f"{AUTHORIZATIONS}/nothing/void", {})) == (404, "not_found")


def test_a_database_or_an_address_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, http: httpx.Client
) -> None:
    taken = str(http.base_url.port)
    for arguments, told in (
        (("--database", str(tmp_path)), "cannot be opened"),
        (("--database", str(tmp_path / "s.sqlite3"), "--port", taken), "it cannot listen on"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "compose.sandbox", *arguments], cwd=REPOSITORY, capture_output=True, text=True,
            check=False, timeout=30,
        )  # fmt: skip
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert told in done.stderr


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (AUTHORIZATIONS, payment(amount=0), "invalid_field"),
        (AUTHORIZATIONS, payment(amount="12"), "invalid_field"),
        (AUTHORIZATIONS, payment(amount=True), "invalid_field"),
        (AUTHORIZATIONS, payment(amount=10**13), "invalid_field"),
        (AUTHORIZATIONS, payment(currency="eur"), "invalid_field"),
        (AUTHORIZATIONS, payment(reference=" "), "invalid_field"),
        (AUTHORIZATIONS, payment(token="a b"), "invalid_field"),
        (AUTHORIZATIONS, payment(metadata=[]), "invalid_field"),
        (AUTHORIZATIONS, payment(extra=1), "unknown_field"),
        (AUTHORIZATIONS, {"amount": 1}, "missing_field"),
        (AUTHORIZATIONS, [1], "invalid_body"),
        ("/carrier/shipments", shipment(address={**ADDRESS, "country": "Britain"}), "invalid_field"),
        ("/carrier/shipments", shipment(address={"name": "Ada"}), "missing_field"),
        ("/carrier/shipments", shipment(address={**ADDRESS, "planet": "Mars"}), "unknown_field"),
        ("/carrier/shipments", shipment(weight_grams=0), "invalid_field"),
        ("/control/faults", {"path": "/", "kind": "fire"}, "invalid_field"),
        ("/control/faults", {"path": "/", "kind": "delay", "seconds": -1}, "invalid_field"),
    ],
)
def test_nonsense_gets_a_clear_error_and_uses_up_no_key(
    http: httpx.Client, path: str, body: Any, expected: str
) -> None:
    key = uuid4().hex
    response = post(http, path, body, key)
    assert code(response) == (400, expected)
    assert response.json()["error"]["reason"]
    if path == AUTHORIZATIONS:
        assert post(http, path, payment(), key).status_code == 201


def test_bad_requests_of_other_kinds(http: httpx.Client) -> None:
    assert code(http.post(AUTHORIZATIONS, json=payment())) == (400, "invalid_key")
    assert code(http.post(AUTHORIZATIONS, content=b"{", headers={"Idempotency-Key": "k"})) == (
        400,
        "invalid_body",
    )
    assert code(http.get("/provider/nothing")) == (404, "no_such_endpoint")
    assert code(http.get(AUTHORIZATIONS, params={"limit": "0"})) == (400, "invalid_field")
    assert code(http.get(AUTHORIZATIONS, params={"since": "yesterday"})) == (400, "invalid_field")
    assert code(http.post("/provider/refunds", content=b"x" * 1_000_001)) == (400, "invalid_body")
    assert http.get("/healthz").json() == {"status": "ok"}


def test_a_key_answers_for_one_request_only(http: httpx.Client) -> None:
    body, key = payment(), uuid4().hex
    first = post(http, AUTHORIZATIONS, body, key)
    assert post(http, AUTHORIZATIONS, body, key).content == first.content
    assert code(post(http, AUTHORIZATIONS, {**body, "amount": 1}, key)) == (409, "idempotency_conflict")
    void = f"{AUTHORIZATIONS}/{first.json()['id']}/void"
    assert code(post(http, void, {}, key)) == (409, "idempotency_conflict")
    assert post(http, "/carrier/shipments", shipment(), key).status_code == 201, (
        "the carrier has keys of its own"
    )


def test_sixteen_twins_make_one_charge(http: httpx.Client) -> None:
    body, key = payment(token="tok_slow"), uuid4().hex
    start = threading.Barrier(16)

    def twin(_: int) -> bytes:
        start.wait()
        return post(http, AUTHORIZATIONS, body, key).content

    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        answers = set(pool.map(twin, range(16)))
    took = time.monotonic() - began
    assert len(answers) == 1
    assert len(booked(http, body["reference"])) == 1
    assert SLOW_SECONDS <= took < 2 * SLOW_SECONDS, "the twins wait for the first, not for each other"


def test_tok_timeout_then_succeeds_answers_a_repeat_at_once(http: httpx.Client) -> None:
    body, key = payment(token="tok_timeout_then_succeeds"), uuid4().hex
    with pytest.raises(httpx.ReadTimeout):
        http.post(AUTHORIZATIONS, json=body, headers={"Idempotency-Key": key}, timeout=0.3)
    began = time.monotonic()
    assert post(http, AUTHORIZATIONS, body, key).status_code == 201
    assert time.monotonic() - began < TIMEOUT_SECONDS / 2
    assert len(booked(http, body["reference"])) == 1


def test_tok_error_after_charging_charges_once_and_a_repeat_shows_it(http: httpx.Client) -> None:
    body, key = payment(token="tok_error_after_charging"), uuid4().hex
    assert code(post(http, AUTHORIZATIONS, body, key)) == (500, "internal_error")
    assert len(booked(http, body["reference"])) == 1
    assert post(http, AUTHORIZATIONS, body, key).json() == booked(http, body["reference"])[0]


def test_a_killed_sandbox_has_the_charge_and_its_answer_after_a_restart(tmp_path: Path) -> None:
    process = SandboxProcess(tmp_path / "sandbox.sqlite3").start()
    body, key = payment(token="tok_timeout_then_succeeds"), uuid4().hex
    with httpx.Client(base_url=process.url, timeout=10) as http, ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, http, AUTHORIZATIONS, body, key)
        until = time.monotonic() + 3
        while not booked(http, body["reference"]):
            assert time.monotonic() < until, "the charge never appeared"
        process.kill()
        assert isinstance(first.exception(), httpx.TransportError)
    process.start()
    with httpx.Client(base_url=process.url, timeout=10) as http:
        repeat = post(http, AUTHORIZATIONS, body, key)
        assert repeat.status_code == 201
        assert [entry["id"] for entry in booked(http, body["reference"])] == [repeat.json()["id"]]
    assert process.stop() == 0


def test_the_books_are_read_page_by_page(http: httpx.Client) -> None:
    reference = str(uuid4())
    made = [post(http, AUTHORIZATIONS, payment(reference=reference)).json()["id"] for _ in range(5)]
    seen, after = [], "0"
    while after is not None:
        page = http.get(AUTHORIZATIONS, params={"reference": reference, "after": after, "limit": "2"}).json()
        assert len(page["items"]) <= 2
        seen += [item["id"] for item in page["items"]]
        after = page["next"]
    assert seen == made
    since = http.get(f"{AUTHORIZATIONS}/{made[-1]}").json()["created_at"]
    later = http.get(AUTHORIZATIONS, params={"reference": reference, "since": since}).json()["items"]
    assert [item["id"] for item in later] == made[-1:]


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (shipment(address={**ADDRESS, "country": "AQ"}), "address_unreachable"),
        (shipment(address={**ADDRESS, "postal_code": "00000-1"}), "address_unreachable"),
        (shipment(weight_grams=1_000_001), "parcel_too_heavy"),
    ],
)
def test_the_carrier_refuses(http: httpx.Client, body: dict[str, Any], refusal: str) -> None:
    assert code(post(http, "/carrier/shipments", body)) == (422, refusal)
    assert booked(http, body["reference"], "/carrier/shipments") == []


def test_a_shipment_is_cancelled_or_dispatched_once(http: httpx.Client) -> None:
    kept, dropped = (post(http, "/carrier/shipments", shipment()).json()["id"] for _ in range(2))
    assert post(http, f"/carrier/shipments/{kept}/dispatch", {}).json()["status"] == "dispatched"
    assert post(http, f"/carrier/shipments/{dropped}/cancel", {}).json()["status"] == "cancelled"
    assert code(post(http, f"/carrier/shipments/{kept}/cancel", {})) == (422, "already_dispatched")
    assert code(post(http, f"/carrier/shipments/{dropped}/dispatch", {})) == (422, "already_cancelled")


def test_planned_faults_hit_their_path_as_often_as_asked(http: httpx.Client, sandbox: SandboxProcess) -> None:
    sandbox.fault("/provider", "error_500", count=2)
    sandbox.fault("/provider", "error_after")
    sandbox.fault("/provider", "drop")
    body, key = payment(), uuid4().hex
    assert post(http, "/carrier/shipments", shipment()).status_code == 201
    for _ in range(2):
        assert post(http, AUTHORIZATIONS, body, key).status_code == 500
    assert sandbox.call("GET", "/control/stats")["faults"][0]["kind"] == "error_after"
    assert post(http, AUTHORIZATIONS, body, key).status_code == 500
    with pytest.raises(httpx.RemoteProtocolError):
        post(http, AUTHORIZATIONS, body, key)
    assert post(http, AUTHORIZATIONS, body, key).status_code == 201
    assert len(booked(http, body["reference"])) == 1


@pytest.mark.parametrize(
    ("path", "body", "verb", "then"),
    [
        (AUTHORIZATIONS, payment(token=Token.VOID_FAILS), "void", "voided"),
        ("/carrier/shipments", shipment(address={**ADDRESS, "line2": CANCEL_FAILS}), "cancel", "cancelled"),
        (
            "/carrier/shipments",
            shipment(address={**ADDRESS, "line2": DISPATCH_FAILS}),
            "dispatch",
            "dispatched",
        ),
    ],
)
def test_what_is_told_to_fail_fails_until_it_is_mended(
    http: httpx.Client, sandbox: SandboxProcess, path: str, body: dict[str, Any], verb: str, then: str
) -> None:
    made, other = (post(http, path, each).json()["id"] for each in (body, {**body, "reference": "another"}))
    sandbox.fault("/webhooks/carrier", "lose")
    for _ in range(3):
        assert code(post(http, f"{path}/{made}/{verb}", {})) == (500, "internal_error")
    left = http.delete("/control/faults", params={"path": f"{path}/{made}"}).json()["faults"]
    assert post(http, f"{path}/{made}/{verb}", {}).json()["status"] == then
    assert [fault["path"] for fault in left] == [f"{path}/{other}/{verb}", "/webhooks/carrier"]


def test_every_call_about_an_unhurried_order_takes_its_time(
    http: httpx.Client, sandbox: SandboxProcess
) -> None:
    booking = shipment(address={**ADDRESS, "line2": UNHURRIED})
    for path, body, verb in (
        (AUTHORIZATIONS, payment(token=Token.UNHURRIED), "void"),
        ("/carrier/shipments", booking, "cancel"),
    ):
        began = time.monotonic()
        made = post(http, path, body).json()["id"]
        between = time.monotonic()
        assert post(http, f"{path}/{made}/{verb}", {}).is_success
        assert min(between - began, time.monotonic() - between) >= 3 * SLOW_SECONDS


def test_one_card_lets_the_webhook_tell_another_amount_than_the_answer() -> None:
    for token, told in ((Token.WEBHOOK_DIFFERS, 1251), (Token.APPROVED, 1250)):
        body = payment(token=token)
        event = alter_event(Request("POST", AUTHORIZATIONS, body=body), Answer(201, body))
        assert (event.body["amount"], body["amount"]) == (told, 1250)


def test_delay_timeout_and_hang_take_their_time(http: httpx.Client, sandbox: SandboxProcess) -> None:
    for kind in ("delay", "timeout"):
        sandbox.fault("/carrier", kind, seconds=0.3)
        began = time.monotonic()
        assert post(http, "/carrier/shipments", shipment()).status_code == 201
        assert 0.3 <= time.monotonic() - began < 2
    sandbox.fault("/carrier", "hang", seconds=0.2)
    body = shipment()
    with pytest.raises(httpx.RemoteProtocolError):
        post(http, "/carrier/shipments", body)
    assert booked(http, body["reference"], "/carrier/shipments") == [], "a hang does nothing"


def test_the_reference_page_names_every_token_fault_and_endpoint() -> None:
    page = (REPOSITORY / "docs" / "reference" / "sandbox.md").read_text()
    source = "".join(path.read_text() for path in sorted((REPOSITORY / "compose" / "sandbox").glob("*.py")))
    named = {*DECLINES, *APPROVED, *get_args(Kind), *re.findall(r'"(?:POST|GET|DELETE)", "([^"]+)"', source)}
    named |= set(re.findall(r'Refused\(\s*"(\w+)"', source)) | set(re.findall(r'"(--[a-z-]+)"', source))
    assert {name for name in named if f"`{name}`" not in page} == set()


def test_a_forgotten_key_is_a_new_one(http: httpx.Client, sandbox: SandboxProcess) -> None:
    body, key = shipment(), str(uuid4())
    first = post(http, "/carrier/shipments", body, key).json()
    assert post(http, "/carrier/shipments", body, key).json() == first
    assert sandbox.call("DELETE", "/control/keys")["forgotten"] >= 1
    second = post(http, "/carrier/shipments", body, key).json()
    assert second["id"] != first["id"]
    assert len(booked(http, body["reference"], "/carrier/shipments")) == 2


def test_clearing_the_faults_ends_every_wait(http: httpx.Client, sandbox: SandboxProcess) -> None:
    sandbox.fault("/carrier", "timeout", seconds=60)
    before = sandbox.call("GET", "/control/stats")["books"]["shipments"]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(post, http, "/carrier/shipments", shipment())
        until = time.monotonic() + 3
        while sandbox.call("GET", "/control/stats")["books"]["shipments"] == before:
            assert time.monotonic() < until, "the shipment never appeared"
        sandbox.clear_faults()
        assert waiting.result(timeout=5).status_code == 201
