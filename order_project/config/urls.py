from celery_config.api.urls import service_urls
from order_project.api import urlpatterns as api

urlpatterns = service_urls(api)
