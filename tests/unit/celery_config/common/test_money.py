"""Amounts for people have the digits that ISO 4217 gives their currency, or gave it before it was withdrawn."""

from __future__ import annotations

import re

import iso4217
import pytest

from celery_config.common.money import WITHDRAWN, currency_digits, money

# Of the list of January 2026 and of those before. An update of the library that drops one shows here: put it into
# WITHDRAWN, since orders in it stay.
EVER_PAID = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BYR BZD CAD"
    " CDF CHF CLP CNY COP CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ"
    " GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR"
    " LRD LSL LTL LYD MAD MDL MGA MKD MMK MNT MOP MRO MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB"
    " PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STD STN SVC SYP"
    " SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VEF VES VND VUV WST XAF XCD XCG XOF XPF YER"
    " ZAR ZMW ZWG ZWL"
)
WITHOUT_DIGITS = {
    "BIF", "BYR", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF",
    "XPF",
}  # fmt: skip
THREE_DIGITS = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}


def test_none_is_missing() -> None:
    assert {*EVER_PAID.split()} == currency_digits().keys() | WITHDRAWN.keys()


@pytest.mark.parametrize("currency", EVER_PAID.split())
def test_every_currency_is_shown_with_its_digits(currency: str) -> None:
    digits = 0 if currency in WITHOUT_DIGITS else 3 if currency in THREE_DIGITS else 2
    shown = {0: "1,234,567", 2: "12,345.67", 3: "1,234.567"}[digits]
    for amount, sign in ((1234567, ""), (-1234567, "−")):
        text = money(amount, currency)
        assert text.endswith(shown)
        # Before it stand a sign and a code or symbol, and nothing else.
        assert re.fullmatch(rf"{sign}[^\d−-]+", text.removesuffix(shown))


@pytest.mark.parametrize("currency", sorted(each.code for each in iso4217.Currency))
def test_none_of_the_list_is_shown_as_unknown(currency: str) -> None:
    assert not money(1234567, currency).startswith("1234567 ")


def test_one_that_nobody_knows_is_shown_as_it_is_counted() -> None:
    assert money(-1999, "ZZZ") == "−1999 ZZZ"


def test_one_that_is_withdrawn_is_not_paid_with() -> None:
    assert not WITHDRAWN.keys() & currency_digits().keys()
