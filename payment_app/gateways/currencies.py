"""How a provider counts amounts: its table of currencies, and the conversion of our minor units. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from celery_config.common.money import currency_digits
from celery_config.errors import Refused


@dataclass(frozen=True, slots=True)
class ProviderUnit:
    """What a provider counts a currency in.

    Args:
        digits: of its units; 2 for hundredths.
        step: its amounts are multiples of it.
    """

    digits: int
    step: int = 1


Currencies = Mapping[str, ProviderUnit]
"""Every currency that a provider takes."""


def find_step(currencies: Currencies, currency: str) -> int | None:
    """The step of the amounts that can be paid, in our minor units; None if the currency is not taken."""
    unit, digits = currencies.get(currency), currency_digits().get(currency)
    if unit is None or digits is None:
        return None
    theirs, ours = 10 ** max(unit.digits - digits, 0), 10 ** max(digits - unit.digits, 0)
    return int(ours * unit.step // math.gcd(theirs, unit.step))


def check_payable(currencies: Currencies, amount: int, currency: str) -> None:
    """Raise Refused unless the provider can count this amount, in our minor units, of a currency that it takes."""
    check_step(find_step(currencies, currency), amount, currency)


def check_step(step: int | None, amount: int, currency: str) -> None:
    """The same, with what `find_step` found."""
    if step is None:
        raise Refused("currency_not_supported", f"The payment provider does not take {currency}.")
    if amount % step:
        raise Refused(
            "amount_not_payable",
            f"The payment provider takes {currency} in steps of {step} minor units only, not {amount}.",
        )


def convert_to_provider(currencies: Currencies, amount: int, currency: str) -> int:
    """The amount in the provider's units.

    Raises:
        Refused: it cannot be paid.
    """
    check_payable(currencies, amount, currency)
    return scale(amount, currencies[currency].digits - currency_digits()[currency])


def convert_from_provider(currencies: Currencies, amount: int, currency: str) -> int:
    """The provider's amount in our minor units; unchanged where no call of ours can have made it."""
    unit, digits = currencies.get(currency), currency_digits().get(currency)
    if unit is None or digits is None:
        return amount
    return scale(amount, digits - unit.digits)


def scale(amount: int, digits: int) -> int:
    """The amount with so many digits more or, if negative, less."""
    return amount * int(10**digits) if digits >= 0 else amount // int(10**-digits)
