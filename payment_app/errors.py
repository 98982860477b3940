"""What can go wrong in the payment service, besides a refusal. Pure.

OrderSagaError
└── PaymentError
    ├── NoPayment            a command needs the order's payment and there is none
    ├── VoidImpossible       the money to be let go was taken
    ├── BooksDisagree        the provider did what our rows say could not happen
    ├── KeyOutlived          too late to repeat a call whose outcome is unknown
    └── Unbalanced           a ledger transaction does not sum to zero
"""

from __future__ import annotations

from celery_config.errors import OrderSagaError


class PaymentError(OrderSagaError):
    """Base of all; a step that meets one is tried again, then a human is asked."""


class NoPayment(PaymentError):
    """The order has no payment here, although the command says that it must have one."""


class VoidImpossible(PaymentError):
    """The authorization was captured, so it cannot be voided; refund it instead."""


class BooksDisagree(PaymentError):
    """The provider did something our rows do not allow; compare with `./manage.py payment reconcile`."""


class IdempotencyKeyExpired(PaymentError):
    """The provider may have forgotten the call's key; look into its books before you repeat the call."""


class Unbalanced(PaymentError):
    """The lines of a ledger transaction do not sum to zero; nothing was booked."""
