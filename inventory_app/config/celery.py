from celery_config.app import make_celery

app = make_celery("inventory", "inventory_app")
