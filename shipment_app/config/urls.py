from celery_config.urls import url_configuration
from shipment_app import api

globals().update(url_configuration(api.urlpatterns))
