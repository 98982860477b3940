from celery_config.api.urls import service_urls
from inventory_app.api import urlpatterns as api

urlpatterns = service_urls(api)
