"""The rules of a payment and of its ledger entries. Pure. Amounts are integer minor units."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

from celery_config.common.money import currency_digits
from celery_config.contracts.payment import MAX_AMOUNT, TOKEN_LETTER
from celery_config.errors import Refused
from payment_app.errors import NoPayment, Unbalanced

IDS = uuid5(NAMESPACE_URL, "order-saga:payment")
TOKEN = re.compile(f"{TOKEN_LETTER}{{1,500}}")
# Card networks release an authorization that is not captured within a week.
# Source: https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
AUTHORIZATION_LIFETIME = timedelta(days=7)


class State(StrEnum):
    AUTHORIZED = "authorized"
    VOIDED = "voided"
    CAPTURED = "captured"


class AccountCode(StrEnum):
    PROVIDER_CLEARING = "provider_clearing"  # asset: what the provider owes us
    SALES = "sales"  # income
    REFUNDS_PAYABLE = "refunds_payable"  # liability: promised, not yet confirmed by the provider


class TransactionKind(StrEnum):
    """Why something is posted to the ledger."""

    CAPTURE = "capture"
    REFUND_PROMISED = "refund promised"
    REFUND_PAID = "refund paid"
    REFUND_DECLINED = "refund declined"


# The accounts debited and credited. Authorized money is not ours yet, so an authorization posts nothing.
ACCOUNTS: dict[TransactionKind, tuple[AccountCode, AccountCode]] = {
    TransactionKind.CAPTURE: (AccountCode.PROVIDER_CLEARING, AccountCode.SALES),
    TransactionKind.REFUND_PROMISED: (AccountCode.SALES, AccountCode.REFUNDS_PAYABLE),
    TransactionKind.REFUND_PAID: (AccountCode.REFUNDS_PAYABLE, AccountCode.PROVIDER_CLEARING),
    TransactionKind.REFUND_DECLINED: (AccountCode.REFUNDS_PAYABLE, AccountCode.SALES),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a ledger transaction: a debit is positive, a credit negative."""

    account: AccountCode
    currency: str
    amount: int


def make_lines(kind: TransactionKind, amount: int, currency: str) -> list[Line]:
    """The debit and the credit of `amount` minor units."""
    debited, credited = ACCOUNTS[kind]
    return [Line(debited, currency, amount), Line(credited, currency, -amount)]


def check_balance(lines: Iterable[Line]) -> None:
    """Raise Unbalanced unless there are lines, and they sum to zero in each currency."""
    sums: dict[str, int] = {}
    for line in lines:
        sums[line.currency] = sums.get(line.currency, 0) + line.amount
    wrong = {currency: total for currency, total in sums.items() if total}
    if wrong or not sums:
        found = wrong or "no lines"
        raise Unbalanced(f"a ledger transaction must sum to zero in each currency, this one has {found}")


def payment_id(order: UUID) -> UUID:
    """The id of an order's one payment; it follows from the order."""
    return uuid5(IDS, f"payment/{order}")


def transaction_id(kind: TransactionKind, subject: UUID) -> UUID:
    """The id of the one ledger transaction of this kind for a payment or refund."""
    return uuid5(IDS, f"{kind}/{subject}")


def check_authorization(*, amount: int, currency: str, token: str, paid_already: bool) -> None:
    """Raise Refused with the first reason why the provider need not be called."""
    if paid_already:
        raise Refused("already_authorized", "The order has a payment; an order is paid once.")
    check_amount(amount)
    if currency not in currency_digits():
        raise Refused("unknown_currency", f"{currency!r} is no ISO 4217 currency that can be paid with.")
    if not TOKEN.fullmatch(token):
        raise Refused("invalid_token", "The payment token is empty, too long, or has strange characters.")


def check_capture(*, state: State | None, ours: UUID | None, named: UUID) -> None:
    """Check that the payment to capture is the order's own and is authorized.

    Args:
        state: of the order's payment; None when it has none.
        ours, named: id of the order's payment, and the id named in the command.

    Raises:
        NoPayment: there is none, although the authorization's reply names it.
        Refused: it is another one, or in another state.
    """
    if state is None:
        raise NoPayment(f"payment {named} was authorized, and there is no such payment here")
    if ours != named:
        raise Refused("wrong_payment", f"The order's payment is {ours}, not {named}.")
    if state is not State.AUTHORIZED:
        raise Refused(f"already_{state}", f"The payment is already {state}.")


def check_captured(state: State | None) -> None:
    """Raise NoPayment unless the payment to refund was captured: only confirmed orders are refunded."""
    if state in (None, State.AUTHORIZED):
        raise NoPayment(f"a confirmed order is refunded, and its payment is {state or 'missing'} here")


def check_refund(*, state: State | None, payment_currency: str, amount: int, currency: str) -> None:
    """Check that money may be given back; the row decides whether enough is left.

    Raises:
        NoPayment: the payment is missing or not captured yet. Only a confirmed order is refunded, so it was captured.
        Refused: the first reason not to refund.
    """
    check_captured(state)
    if state is not State.CAPTURED:
        raise Refused(
            "not_captured", f"The payment of this order is {state} here, so nothing can be given back."
        )
    if currency != payment_currency:
        raise Refused("wrong_currency", f"The payment is in {payment_currency}, not in {currency}.")
    check_amount(amount)


def check_amount(amount: int) -> None:
    if not 0 < amount <= MAX_AMOUNT:
        raise Refused("invalid_amount", f"The amount must be 1 to {MAX_AMOUNT} minor units, not {amount}.")
