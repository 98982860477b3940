"""The settings of the shipment service; what all services share is in celery_config/settings/."""

from celery_config.settings import env, service_settings

DUTIES = ("shipment_app.reconciliation.duties", "shipment_app.board.duties")
globals().update(
    service_settings(
        "shipment",
        "shipment_app",
        duties=DUTIES,
        secrets=("SHIPMENT_WEBHOOK_SECRET",),
        measures=("celery_config.messaging.measures.measure_contradictions",),
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
