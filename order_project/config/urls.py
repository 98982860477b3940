from celery_config.urls import url_configuration
from order_project import api

globals().update(url_configuration(api.urlpatterns))
