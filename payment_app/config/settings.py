"""The settings of the payment service; what all services share is in celery_config/settings.py."""

from celery_config.settings import env, service_settings

globals().update(service_settings("payment", "payment_app"))

PAYMENT_GATEWAY = env.str("PAYMENT_GATEWAY", "sandbox")
SANDBOX_URL = env.str("SANDBOX_URL", "http://127.0.0.1:8090")
STRIPE_API_KEY = env.str("STRIPE_API_KEY", "")
STRIPE_API_BASE = env.str("STRIPE_API_BASE", "")
RELAY_DUTIES = ["payment_app.reconciliation.duties"]
