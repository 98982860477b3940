"""What of messages is shown without asking follows from the contracts."""

from __future__ import annotations

import pytest

from celery_config.contracts.privacy import (
    HIDDEN,
    cut_tokens,
    hide_name,
    hide_private,
    hide_quoted,
    list_known_names,
    list_personal_fields,
    may_show,
)


def test_all_contracts_are_known_in_every_process() -> None:
    assert {"sku", "captured_amount", "tracking_number", "about", "tries"} <= list_known_names()


def test_a_text_where_a_contract_has_further_fields_is_unknown() -> None:
    assert not {"lines", "address", "billing_address"} & list_known_names()


def test_the_country_is_no_personal_data() -> None:
    assert list_personal_fields().keys() == {
        "name", "line1", "line2", "city", "region", "postal_code", "email", "payment_token", "reason", "customer",
    }  # fmt: skip
    assert may_show("country", "GB")


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
