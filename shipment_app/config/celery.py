from celery_config.app import make_celery

app = make_celery("shipment", "shipment_app")
