from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class ApiConfig(AppConfig):
    name = "celery_config.api"
    label = "api"


class ServiceAdminConfig(AdminConfig):
    default_site = "celery_config.api.site.ServiceSite"
