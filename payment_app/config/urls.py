from celery_config.urls import url_configuration
from payment_app import api

globals().update(url_configuration(api.urlpatterns))
