"""Showing money. Amounts are integer minor units everywhere else. Pure."""

from __future__ import annotations

from decimal import Decimal

from babel.numbers import format_currency, get_currency_precision


def money(amount: int, currency: str) -> str:
    """`money(1999, "GBP")` -> `£19.99`; `amount` in minor units of the ISO 4217 `currency`."""
    value = Decimal(amount).scaleb(-get_currency_precision(currency))
    return format_currency(value, currency, locale="en_GB")
