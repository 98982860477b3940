from celery_config.app import make_celery

app = make_celery("payment", "payment_app")
