"""Money: the currencies that can be paid with, and amounts for people to read. Everywhere else an amount is an integer.

An amount is in minor units of ISO 4217. Pure.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import iso4217
from babel.numbers import format_currency
from iso4217 import Currency

LARGEST = 10**20
# Units of account that the list marks neither as a fund nor as without a minor unit.
UNITS_OF_ACCOUNT = {"UYW", "XAD"}
WITHDRAWN = MappingProxyType(
    {
        "ANG": 2,
        "BGN": 2,
        "BYR": 0,
        "CUC": 2,
        "HRK": 2,
        "LTL": 2,
        "MRO": 2,
        "SLL": 2,
        "STD": 2,
        "VEF": 2,
        "ZWL": 2,
    }
)
"""The digits of currencies that ISO 4217 has withdrawn since 2015: amounts of old orders are still shown.

The list of a library has only those of today. A test fails when an update drops one that is missing here.
"""


@functools.cache
def currency_digits() -> Mapping[str, int]:
    """The digits of each currency of ISO 4217 that can be paid with.

    Without metals (XAU), baskets and codes for tests (XDR, XTS, XXX), which have no minor unit, and without funds and
    other units of account (CLF, CHE, UYW).
    """
    funds = {row.findtext("Ccy") for row in iso4217.raw_xml.iter("CcyNtry") if is_fund(row)}
    return MappingProxyType(
        {
            each.code: each.exponent
            for each in iso4217.Currency
            if each.exponent is not None and each.code not in funds | UNITS_OF_ACCOUNT
        }
    )


def is_fund(row: Any) -> bool:
    name = row.find("CcyNm")
    return name is not None and name.get("IsFund") == "true"


@functools.lru_cache(maxsize=10_000)  # a list formats the same amounts again and again
def money(amount: int, currency: str) -> str:
    """`money(1999, "GBP")` -> `£19.99`; `amount` in minor units of the `currency`, which ISO 4217 has or had.

    The minor unit of any other currency is unknown: `money(1999, "ZZZ")` -> `1999 ZZZ`. So is shown what is no sum of
    money, such as a service may have said.
    """
    digits = find_digits(currency)
    if digits is None or abs(amount) > LARGEST:
        return f"{amount} {currency}".replace("-", "−")
    number = "¤#,##0" + ("." + "0" * digits if digits else "")
    # A minus sign: a line may break at a hyphen.
    pattern = f"{number};−{number}"
    value = Decimal(amount).scaleb(-digits)
    return str(format_currency(value, currency, format=pattern, locale="en_GB", currency_digits=False))


def find_digits(currency: str) -> int | None:
    """The digits of ISO 4217, which are not always those that people print; None if it never had the currency."""
    try:
        return Currency(currency).exponent or 0
    except ValueError:
        return WITHDRAWN.get(currency)
