"""The settings of the payment service; what all services share is in celery_config/settings/."""

from celery_config.settings import env, service_settings

PAYMENT_GATEWAY = env.str("PAYMENT_GATEWAY", "sandbox")
WEBHOOK_SECRETS = {"sandbox": "PAYMENT_WEBHOOK_SECRET", "stripe": "STRIPE_WEBHOOK_SECRET"}

needed = tuple(name for gateway, name in WEBHOOK_SECRETS.items() if gateway == PAYMENT_GATEWAY)
DUTIES = ("payment_app.reconciliation.duties", "payment_app.currencies.duties")
globals().update(
    service_settings(
        "payment",
        duties=DUTIES,
        secrets=needed,
        measures=(
            "celery_config.messaging.measures.measure_contradictions",
            "celery_config.messaging.measures.measure_pace",
        ),
        flow_checks={
            "books": "celery_config.reconciliation.board.check_books",
            "contradictions": "celery_config.messaging.measures.check_contradictions",
        },
        tiles=("payment_app.board.show_money", "celery_config.reconciliation.board.show_books"),
    )
)

SANDBOX_URL = env.str("SANDBOX_URL", "http://127.0.0.1:8090")
STRIPE_API_KEY = env.str("STRIPE_API_KEY", "")
STRIPE_API_BASE = env.str("STRIPE_API_BASE", "")
STRIPE_WEBHOOK_SECRET = env.str("STRIPE_WEBHOOK_SECRET", "")
PAYMENT_WEBHOOK_SECRET = env.str("PAYMENT_WEBHOOK_SECRET", "local-only-payment-webhooks")
# Calls to the provider: so many a second over all workers, and so many side by side in each; 0: any number.
PROVIDER_CALLS_PER_SECOND = env.float("PAYMENT_CALLS_PER_SECOND", 0.0)
PROVIDER_CALLS_AT_ONCE = env.int("PAYMENT_CALLS_AT_ONCE", 0)
