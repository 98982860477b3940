from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class ApiConfig(AppConfig):
    name = "celery_config.web"
    label = "api"


class ServiceAdminConfig(AdminConfig):
    default_site = "celery_config.web.site.ServiceSite"
