"""The sandbox carrier through its adapter, against the real process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from celery_config.common.loading import make_from_setting
from celery_config.contracts.base import encode
from celery_config.contracts.shipment import Address
from celery_config.errors import CallFailed, OutcomeUnknown, Refused
from shipment_app.carriers import BUILT_IN, Booked, Carrier, SandboxCarrier, ShipmentRecord
from shipment_app.carriers.sandbox import MAX_PARCELS
from tests.bench.instant_carrier import InstantCarrier
from tests.unit.compose.sandbox.sandbox_process import SandboxProcess

SECONDS = 1.0
HELD_UP = 5
ADDRESS = Address(name="Ada", line1="1 Mill Lane", city="York", postal_code="YO1 7HH", country="GB")


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox") / "sandbox.sqlite3").start()
    yield process
    process.stop()


@pytest.fixture
def carrier(process: SandboxProcess) -> Iterator[SandboxCarrier]:
    carrier = SandboxCarrier(process.url, seconds=SECONDS)
    yield carrier
    process.clear_faults()


def book(carrier: SandboxCarrier, **changes: Any) -> Booked:
    call: dict[str, Any] = {
        "key": uuid4(),
        "order": uuid4(),
        "address": ADDRESS,
        "weight_grams": 900,
        "parcels": 2,
    }
    return carrier.book(**(call | changes))


def entry(carrier: SandboxCarrier, order: UUID) -> ShipmentRecord:
    (found,) = carrier.find_entries(order)
    return found


def test_a_shipment_is_booked_once_and_dispatched(carrier: SandboxCarrier) -> None:
    order, key = uuid4(), uuid4()
    booked, repeat = (book(carrier, key=key, order=order) for _ in range(2))
    assert booked == repeat
    expected = ShipmentRecord(booked.carrier_id, order, "booked", booked.tracking_number, 900, 2)
    assert entry(carrier, order) == expected
    key = uuid4()
    for _ in range(2):
        carrier.dispatch(key=key, carrier_id=booked.carrier_id)
    assert entry(carrier, order) == replace(expected, state="dispatched")
    with pytest.raises(Refused, match="already_dispatched"):
        carrier.cancel(key=uuid4(), carrier_id=booked.carrier_id)


def test_the_carrier_gets_the_parts_of_the_address_that_there_are(
    carrier: SandboxCarrier, process: SandboxProcess
) -> None:
    """So a request of the release before, sent again under its key, is the same request."""
    for address in (ADDRESS, replace(ADDRESS, line2="Flat 3", region="Yorkshire")):
        order = uuid4()
        book(carrier, order=order, address=address)
        (item,) = httpx.get(f"{process.url}/carrier/shipments?reference={order}").json()["items"]
        assert item["address"] == encode(address)
    assert encode(ADDRESS) == {
        "name": "Ada", "line1": "1 Mill Lane", "city": "York", "postal_code": "YO1 7HH", "country": "GB",
    }  # fmt: skip


def test_a_cancelled_shipment_does_not_leave(carrier: SandboxCarrier) -> None:
    order, key = uuid4(), uuid4()
    booked = book(carrier, order=order)
    for _ in range(2):
        carrier.cancel(key=key, carrier_id=booked.carrier_id)
    assert entry(carrier, order).state == "cancelled"
    with pytest.raises(Refused, match="already_cancelled"):
        carrier.dispatch(key=uuid4(), carrier_id=booked.carrier_id)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"address": replace(ADDRESS, country="AQ")}, "address_unreachable"),
        ({"address": replace(ADDRESS, postal_code="00000")}, "address_unreachable"),
        ({"weight_grams": 1_000_001}, "parcel_too_heavy"),
        ({"parcels": MAX_PARCELS + 1}, "parcel_too_heavy"),
    ],
)
def test_a_refusal_is_the_same_every_time(
    carrier: SandboxCarrier, changes: dict[str, Any], code: str
) -> None:
    order, key = uuid4(), uuid4()
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            book(carrier, key=key, order=order, **changes)
        assert (refused.value.code, bool(refused.value.reason)) == (code, True)
    assert carrier.find_entries(order) == []


def test_as_many_parcels_as_one_shipment_has_are_booked(carrier: SandboxCarrier) -> None:
    assert book(carrier, parcels=MAX_PARCELS).carrier_id


def test_when_its_keys_are_forgotten_only_the_records_tell_what_was_done(
    carrier: SandboxCarrier, process: SandboxProcess
) -> None:
    """Rule 8 (effects outside): so it is looked up first. Only what has a state of its own is not done twice."""
    order, keys = uuid4(), [uuid4() for _ in range(4)]
    gone, void = (book(carrier, order=order, key=key).carrier_id for key in keys[:2])
    carrier.dispatch(key=keys[2], carrier_id=gone)
    carrier.cancel(key=keys[3], carrier_id=void)
    process.forget_keys()
    assert {found.carrier_id for found in carrier.find_entries(order)} == {gone, void}
    assert book(carrier, order=order, key=keys[0]).carrier_id not in {gone, void}
    with pytest.raises(Refused, match="already_dispatched"):
        carrier.dispatch(key=keys[2], carrier_id=gone)
    with pytest.raises(Refused, match="already_cancelled"):
        carrier.cancel(key=keys[3], carrier_id=void)


def test_an_invalid_request_did_nothing_and_a_used_key_may_have(carrier: SandboxCarrier) -> None:
    key, order = uuid4(), uuid4()
    book(carrier, key=key, order=order)
    with pytest.raises(CallFailed, match="idempotency_conflict"):
        book(carrier, key=key, order=order, parcels=3)
    with pytest.raises(Refused, match="invalid_request"):
        book(carrier, weight_grams=0)
    with pytest.raises(Refused, match="invalid_request"):
        carrier.cancel(key=uuid4(), carrier_id="nothing")


@pytest.mark.parametrize("kind", ["timeout", "hang", "error_500", "error_after"])
def test_what_nobody_knows_is_settled_by_a_repeat(
    carrier: SandboxCarrier, process: SandboxProcess, kind: str
) -> None:
    order, key, began = uuid4(), uuid4(), time.monotonic()
    process.fault("/carrier", kind, seconds=HELD_UP)
    with pytest.raises(OutcomeUnknown):
        book(carrier, key=key, order=order)
    assert time.monotonic() - began < HELD_UP, "it is we who give up"
    assert book(carrier, key=key, order=order).carrier_id == entry(carrier, order).carrier_id


def test_killed_between_booking_and_answer(tmp_path: Path) -> None:
    process = SandboxProcess(tmp_path / "sandbox.sqlite3").start()
    carrier = SandboxCarrier(process.url, seconds=SECONDS * 2)
    order, key = uuid4(), uuid4()
    process.fault("/carrier/shipments", "timeout", seconds=30)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(book, carrier, key=key, order=order)
        until = time.monotonic() + 1.5
        while process.call("GET", "/control/stats")["books"]["shipments"] == 0:
            assert time.monotonic() < until, "the booking never appeared"
        process.kill()
        assert isinstance(call.exception(), OutcomeUnknown)
    process.start()
    assert book(carrier, key=key, order=order).carrier_id == entry(carrier, order).carrier_id
    process.stop()


def make_carrier(name: str, **settings: str) -> Carrier:
    given = SimpleNamespace(CARRIER=name, **settings)
    return make_from_setting("CARRIER", given, BUILT_IN, seconds=SECONDS)


def test_the_settings_say_where_the_carrier_is(process: SandboxProcess) -> None:
    carrier = make_carrier("sandbox", SANDBOX_URL=process.url)
    assert list(carrier.list_entries(since=datetime(2100, 1, 1, tzinfo=UTC))) == []
    with pytest.raises(ValueError, match="SANDBOX_URL"):
        make_carrier("sandbox")
    with pytest.raises(ValueError, match="set it to sandbox or"):
        make_carrier("pigeon")
    assert isinstance(make_carrier("tests.bench.instant_carrier.InstantCarrier"), InstantCarrier)
