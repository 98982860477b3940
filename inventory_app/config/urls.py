from celery_config.urls import url_configuration
from inventory_app import api

globals().update(url_configuration(api.urlpatterns))
