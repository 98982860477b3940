"""Errors of the payment service that a human settles. Pure.

PaymentError
├── NoPayment              a command needs the order's payment and there is none
├── VoidImpossible         the money to release was captured
├── ProviderDisagrees      the provider did what our rows do not allow
├── IdempotencyKeyExpired  too late to repeat a call whose outcome is unknown
└── Unbalanced             a ledger transaction does not sum to zero
"""

from __future__ import annotations

from celery_config.errors import OrderSagaError, StepLost


class PaymentError(OrderSagaError):
    """Base of all; the step is tried again, then the saga is parked for a human."""


class NoPayment(PaymentError, StepLost):
    """The order has no payment here, or none that was captured, although the command says that it was made."""


class VoidImpossible(PaymentError):
    """The authorization was captured, so it cannot be voided; refund it instead."""


class ProviderDisagrees(PaymentError):
    """The provider did what our rows do not allow; compare with `./manage.py payment reconcile`."""


class IdempotencyKeyExpired(PaymentError):
    """The provider may have forgotten the call's key; look at its records before you repeat the call."""


class Unbalanced(PaymentError):
    """The lines of a ledger transaction do not sum to zero; nothing was posted."""
