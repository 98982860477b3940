from celery_config.urls import url_configuration
from payment_app.api import urlpatterns as api

globals().update(url_configuration(api))
