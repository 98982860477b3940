"""Money for people to read; everywhere else amounts are integers in minor units. Pure."""

from __future__ import annotations

from decimal import Decimal

from babel.numbers import format_currency
from iso4217 import Currency


def money(amount: int, currency: str) -> str:
    """`money(1999, "GBP")` -> `£19.99`; `amount` in minor units of the ISO 4217 `currency`.

    The minor unit of a currency outside ISO 4217 is unknown: `money(1999, "ZZZ")` -> `1999 ZZZ`.
    """
    try:
        # The digits of ISO 4217, which are not always those that people print.
        digits = Currency(currency).exponent or 0
    except ValueError:
        return f"{amount} {currency}".replace("-", "−")
    number = "¤#,##0" + ("." + "0" * digits if digits else "")
    # A minus sign: a line may break at a hyphen.
    pattern = f"{number};−{number}"
    value = Decimal(amount).scaleb(-digits)
    return str(format_currency(value, currency, format=pattern, locale="en_GB", currency_digits=False))
