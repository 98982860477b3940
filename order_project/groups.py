"""What each shipped group may see and do in this service."""

from __future__ import annotations

from celery_config.common.roles import MENDS_MESSAGES, SEES_MESSAGES, Groups, Role

SEES_ORDERS = ("order.view_order", "order.view_refund", "order.view_choreography", "saga.view_sagainstance")
SEES_CATALOGUE = ("order.view_catalogueproduct", "order.view_payablecurrency")
SEES = (
    *SEES_MESSAGES, *SEES_ORDERS, *SEES_CATALOGUE, "order.view_customer", "order.view_erasure",
    "saga.view_sagapause", "saga.view_deadletter", "saga.view_operatoraction", "batches.view_batch",
    "holds.view_hold", "approvals.view_approvalrequest",
    "notifications.view_incident", "notifications.view_notificationrule", "notifications.view_delivery",
    "proof.view_brokenpromise", "proof.view_dailystatement",
)  # fmt: skip
OPERATES = (
    "saga.retry_sagainstance", "saga.compensate_sagainstance", "saga.resume_sagainstance",
    "saga.take_over_sagainstance", "saga.settle_sagainstance", "saga.add_sagapause", "saga.delete_sagapause",
    "saga.hurry_sagainstance", "saga.reschedule_sagainstance", "holds.add_hold", "holds.change_hold",
    "saga.change_deadletter", "batches.add_batch", "batches.change_batch", "notifications.change_incident",
    "notifications.change_delivery", "proof.change_brokenpromise", "order.change_order", "order.add_ordernote",
)  # fmt: skip

GROUPS: Groups = {
    Role.READER: SEES,
    Role.SUPPORT: (
        *SEES_ORDERS, *SEES_CATALOGUE, "order.view_customer", "order.add_customer", "order.change_customer",
        "order.change_order", "order.add_refund", "order.add_ordernote",
    ),
    Role.OPERATOR: (*SEES, *MENDS_MESSAGES, *OPERATES),
    Role.CATALOGUE: SEES_CATALOGUE,
    Role.FINANCE: (
        *SEES_ORDERS, *SEES_CATALOGUE, "order.add_refund", "proof.view_brokenpromise", "proof.view_dailystatement",
    ),
}  # fmt: skip
