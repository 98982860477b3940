from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class ApiConfig(AppConfig):
    name = "celery_config.web"
    label = "api"
    verbose_name = "Access"

    def ready(self) -> None:
        from celery_config.web import checks  # noqa: F401  (registers the checks)


class ServiceAdminConfig(AdminConfig):
    default_site = "celery_config.web.site.ServiceSite"
