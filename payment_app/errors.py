"""Errors of the payment service that a human settles. Pure."""

from __future__ import annotations

from celery_config.errors import OrderSagaError, StateContradicted, StepLost


class PaymentError(StateContradicted):
    """Base of all; the step is tried again, then the saga is parked for a human. `code` is stable."""

    code = "payment_error"


class NoPayment(PaymentError, StepLost):
    """The order has no payment here, or none that was captured, although the command says that it was made."""


class VoidImpossible(PaymentError):
    """The authorization was captured, so it cannot be voided; refund it instead."""


class ProviderDisagrees(PaymentError):
    """The provider did what our rows do not allow; compare with `./manage.py payment reconcile`."""


class IdempotencyKeyExpired(PaymentError):
    """The provider may have forgotten the call's key; look at its records before you repeat the call."""


class Unbalanced(OrderSagaError):
    """The lines of a ledger transaction do not sum to zero; nothing was posted."""
