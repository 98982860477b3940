"""What of messages is shown without asking follows from the contracts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import ClassVar
from uuid import UUID

import pytest

from celery_config.contracts import privacy
from celery_config.contracts.base import Reply, decode, encode
from celery_config.contracts.privacy import (
    HIDDEN,
    NO_CUSTOMER,
    cut_tokens,
    find_unmarked,
    hide_name,
    hide_private,
    hide_quoted,
    list_known_names,
    list_personal_fields,
    may_show,
)
from celery_config.erasure.redaction import redact


def test_all_contracts_are_known_in_every_process() -> None:
    assert {"sku", "captured_amount", "tracking_number", "about", "tries"} <= list_known_names()


def test_a_text_where_a_contract_has_further_fields_is_unknown() -> None:
    assert not {"lines", "address", "billing_address"} & list_known_names()


def test_the_country_is_no_personal_data() -> None:
    assert list_personal_fields().keys() == {
        "name", "line1", "line2", "city", "region", "postal_code", "email", "payment_token", "reason", "customer",
    }  # fmt: skip
    assert may_show("country", "GB")


@dataclass(frozen=True, kw_only=True)
class GuestBooked(Reply):
    service: ClassVar[str] = "inventory"
    not_personal = ("room_name",)
    guest: UUID
    room_name: str
    card: str
    phone: int | None = None
    email_sent: bool = False
    companions: tuple[str, ...] = ()
    born: date | None = None


@dataclass(frozen=True, kw_only=True)
class GuestMarked(GuestBooked):
    personal = ("guest", "card", "phone", "companions", "born")


@pytest.fixture
def one_more_contract(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    known = (*privacy.list_contracts(), GuestMarked)
    with monkeypatch.context() as patched:
        patched.setattr(privacy, "list_contracts", lambda: known)
        forget()
        yield
    forget()


def forget() -> None:
    list_personal_fields.cache_clear()
    list_known_names.cache_clear()


def test_what_sounds_like_a_person_s_data_is_marked_or_said_to_be_none() -> None:
    assert find_unmarked(GuestBooked) == ["card", "phone"]


@pytest.mark.usefixtures("one_more_contract")
def test_one_mark_hides_and_erases() -> None:
    booked = GuestMarked(
        guest=UUID(int=5),
        room_name="12",
        card="4242",
        phone=441234567,
        companions=("Ada",),
        born=date(1815, 12, 10),
    )
    assert find_unmarked(GuestMarked) == []
    sent = json.loads(json.dumps(encode(booked)))
    assert {name for name, value in hide_private(sent).items() if value in (HIDDEN, [HIDDEN])} == {
        *GuestMarked.personal
    }
    left = decode(GuestMarked, redact(sent))
    assert left == GuestMarked(
        guest=NO_CUSTOMER, room_name="12", card="", phone=0, companions=("",), born=date(1970, 1, 1)
    )


def test_a_name_below_a_personal_one_opens_nothing() -> None:
    assert hide_private({"email": {"code": "ada"}, "payment_token": {"amount": 7}, "code": "x"}) == {
        "email": {"code": HIDDEN}, "payment_token": {"amount": HIDDEN}, "code": "x",
    }  # fmt: skip


def test_a_key_that_is_no_name_is_hidden() -> None:
    assert hide_private({"ada@example.com": 1, "Ada of London": 2}) == {"hidden 1": 1, "hidden 2": 2}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("unknown task 'payment.authorize_payment'", "unknown task 'payment.authorize_payment'"),
        ("Invalid enum value 'Ada' - at `$.operation`", "Invalid enum value hidden - at `$.operation`"),
        ("lacks KeyError('amount')", "lacks KeyError('amount')"),
        ("its service's b'it\\'s Ada' and \"O'Ada\"", "its service's hidden and hidden"),
        ("cut off: 'Ada Love", "cut off: hidden"),
        ("{'payment_token': 'tok_visa'}", "{'payment_token': hidden}"),
    ],
)
def test_a_quoted_value_is_hidden(text: str, shown: str) -> None:
    assert hide_quoted(text) == shown


@pytest.mark.parametrize("name", ["payment.no_such", "reserve-stock", "order/17", "payment.commands", ""])
def test_a_name_is_shown(name: str) -> None:
    assert hide_name(name) == name


@pytest.mark.parametrize("name", ["ada@example.com", "Ada Lovelace", "x" * 130, "1 Main Street"])
def test_what_is_no_name_is_hidden(name: str) -> None:
    assert hide_name(name) == HIDDEN


def test_a_token_in_a_text_is_cut() -> None:
    assert cut_tokens('{"payment_token": "tok_visa", "n": 1}') == '{"payment_token": "hidden", "n": 1}'
