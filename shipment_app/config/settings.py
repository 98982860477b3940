"""The settings of the shipment service; what all services share is in celery_config/settings/."""

from celery_config.settings import env, service_settings

DUTIES = ("shipment_app.reconciliation.duties", "shipment_app.board.duties")
globals().update(
    service_settings(
        "shipment",
        duties=DUTIES,
        secrets=("SHIPMENT_WEBHOOK_SECRET",),
        measures=(
            "celery_config.messaging.measures.measure_contradictions",
            "celery_config.messaging.measures.measure_pace",
        ),
        flow_checks={
            "books": "celery_config.reconciliation.board.check_books",
            "contradictions": "celery_config.messaging.measures.check_contradictions",
        },
        tiles=("shipment_app.board.show_parcels", "celery_config.reconciliation.board.show_books"),
    )
)

CARRIER = env.str("CARRIER", "sandbox")
SANDBOX_URL = env.str("SANDBOX_URL", "http://127.0.0.1:8090")
SHIPMENT_WEBHOOK_SECRET = env.str("SHIPMENT_WEBHOOK_SECRET", "local-only-shipment-webhooks")
# Calls to the carrier: so many a second over all workers, and so many side by side in each; 0: any number.
PROVIDER_CALLS_PER_SECOND = env.float("SHIPMENT_CALLS_PER_SECOND", 0.0)
PROVIDER_CALLS_AT_ONCE = env.int("SHIPMENT_CALLS_AT_ONCE", 0)
