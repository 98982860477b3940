"""Every currency of ISO 4217 at every gateway: what goes over is the amount that was meant, or nothing does."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from decimal import Decimal
from uuid import uuid4

import iso4217
import pytest
from django.core.exceptions import ValidationError

from celery_config.common.iso import validate_currency
from celery_config.common.money import currency_digits
from celery_config.errors import Refused
from payment_app.gateways import SandboxGateway, StripeGateway
from payment_app.gateways.currencies import (
    Currencies,
    ProviderUnit,
    check_payable,
    convert_from_provider,
    convert_to_provider,
    find_step,
)
from tests.bench.instant_gateway import InstantGateway
from tests.unit.payment_app.stripe_server import API_KEY, StripeServer, stripe_server

EVERY = sorted(each.code for each in iso4217.Currency)
NOT_MONEY = {
    "BOV", "CHE", "CHW", "CLF", "COU", "MXV", "USN", "UYI", "UYW", "XAD", "XAG", "XAU", "XBA", "XBB", "XBC", "XBD",
    "XDR", "XPD", "XPT", "XSU", "XTS", "XUA", "XXX",
}  # fmt: skip
# Written down again from https://docs.stripe.com/currencies, not from our table.
AT_STRIPE_WITHOUT_DIGITS = {
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF",
}  # fmt: skip
AT_STRIPE_WITH_THREE = {"BHD", "JOD", "KWD", "OMR", "TND"}
AT_STRIPE_IN_HUNDREDTHS = {"ISK", "UGX"}
NOT_AT_STRIPE = {
    "BTN", "CUP", "ERN", "GHS", "IQD", "IRR", "KPW", "LYD", "MRU", "SDG", "SSP", "STN", "SVC", "SYP", "TMT", "VED",
    "VES", "ZWG",
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[StripeServer]:
    with stripe_server() as server:
        yield server


@functools.cache
def stripe(url: str) -> StripeGateway:
    return StripeGateway(API_KEY, api_base=url, seconds=10.0)


def send(server: StripeServer, amount: int, currency: str) -> str:
    """The amount that Stripe gets."""
    gateway = stripe(server.url)
    server.requests.clear()
    gateway.authorize(key=uuid4(), order=uuid4(), amount=amount, currency=currency, token="pm_card_visa")
    ((_, _, form),) = server.requests
    assert form["currency"] == currency.lower()
    return form["amount"]


@pytest.mark.parametrize("currency", EVERY)
def test_the_catalogue_takes_only_money(currency: str) -> None:
    if currency not in NOT_MONEY:
        validate_currency(currency)
        return
    with pytest.raises(ValidationError, match="can be paid with"):
        validate_currency(currency)


@pytest.mark.parametrize("code", ["eur", "XYZ", "", "EURO", "E\x00R"])
def test_the_catalogue_takes_no_other_code(code: str) -> None:
    with pytest.raises(ValidationError):
        validate_currency(code)


@pytest.mark.parametrize("currency", EVERY)
def test_every_currency_at_stripe(server: StripeServer, currency: str) -> None:
    """A hundred units of the currency, such as 100.00 EUR, are a hundred units there."""
    if currency in NOT_MONEY | NOT_AT_STRIPE:
        server.requests.clear()
        with pytest.raises(Refused, match="currency_not_supported"):
            send(server, 10000, currency)
        assert not server.requests
        return
    digits = 0 if currency in AT_STRIPE_WITHOUT_DIGITS else 3 if currency in AT_STRIPE_WITH_THREE else 2
    ours = 100 * 10 ** currency_digits()[currency]
    assert Decimal(send(server, ours, currency)).scaleb(-digits) == 100
    currencies = StripeGateway.currencies
    assert convert_from_provider(currencies, 100 * 10**digits, currency) == ours
    step = find_step(currencies, currency)
    assert step == (100 if currency == "MGA" else 10 if currency in AT_STRIPE_WITH_THREE else 1)
    if step > 1:
        with pytest.raises(Refused, match="amount_not_payable"):
            send(server, ours + 1, currency)


def test_the_special_cases_of_stripe(server: StripeServer) -> None:
    assert send(server, 500, "JPY") == "500"
    assert send(server, 5, "ISK") == send(server, 5, "UGX") == "500"
    assert send(server, 1045, "HUF") == send(server, 1045, "TWD") == "1045"
    assert send(server, 12340, "KWD") == "12340"
    assert send(server, 199900, "MGA") == "1999"
    for amount, currency in ((12345, "KWD"), (1999, "MGA")):
        with pytest.raises(Refused, match="amount_not_payable"):
            send(server, amount, currency)


@pytest.mark.parametrize("gateway", [SandboxGateway, InstantGateway])
@pytest.mark.parametrize("currency", EVERY)
def test_every_currency_at_the_sandbox(gateway: type[SandboxGateway], currency: str) -> None:
    if currency in NOT_MONEY:
        with pytest.raises(Refused, match="currency_not_supported"):
            check_payable(gateway.currencies, 1, currency)
        return
    assert convert_to_provider(gateway.currencies, 1, currency) == 1
    assert find_step(gateway.currencies, currency) == 1


@pytest.mark.parametrize("gateway", [SandboxGateway, StripeGateway])
def test_a_table_has_currencies_only(gateway: type[SandboxGateway]) -> None:
    assert gateway.currencies.keys() <= currency_digits().keys()


@pytest.mark.parametrize(
    ("unit", "currency", "step", "ours", "theirs"),
    [
        (ProviderUnit(2), "EUR", 1, 7, 7),
        (ProviderUnit(0), "EUR", 100, 700, 7),
        (ProviderUnit(4), "EUR", 1, 7, 700),
        (ProviderUnit(4, step=1000), "EUR", 10, 70, 7000),
        (ProviderUnit(2, step=5), "EUR", 5, 35, 35),
        (ProviderUnit(1, step=5), "EUR", 50, 350, 35),
    ],
)
def test_other_units(unit: ProviderUnit, currency: str, step: int, ours: int, theirs: int) -> None:
    table: Currencies = {currency: unit}
    assert find_step(table, currency) == step
    assert (convert_to_provider(table, ours, currency), convert_from_provider(table, theirs, currency)) == (
        theirs,
        ours,
    )
    if step > 1:
        with pytest.raises(Refused, match="amount_not_payable"):
            convert_to_provider(table, ours + 1, currency)
