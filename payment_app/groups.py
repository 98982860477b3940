"""What each shipped group may see and do in this service."""

from __future__ import annotations

from celery_config.common.roles import MENDS_MESSAGES, SEES_MESSAGES, Groups, Role

SEES_PAYMENTS = ("payment.view_payment", "payment.view_refund")
SEES_BOOKS = (
    *SEES_PAYMENTS, "payment.view_ledgertransaction", "payment.view_account", "payment.view_currency",
)  # fmt: skip
SEES = (*SEES_MESSAGES, *SEES_BOOKS, "payment.view_billingcustomer")

GROUPS: Groups = {
    Role.READER: SEES,
    Role.SUPPORT: SEES_PAYMENTS,
    Role.OPERATOR: (*SEES, *MENDS_MESSAGES),
    Role.CATALOGUE: ("payment.view_currency",),
    # Where the provider's books differ from ours, finance finds out what is true.
    Role.FINANCE: (*SEES_BOOKS, "messaging.view_contradiction", "messaging.change_contradiction"),
}
