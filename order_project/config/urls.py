from celery_config.urls import url_configuration
from order_project.api import urlpatterns as api

globals().update(url_configuration(api))
