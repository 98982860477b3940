from django.apps import AppConfig, apps
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_migrate


class ApiConfig(AppConfig):
    name = "celery_config.web"
    label = "api"
    verbose_name = "Access"

    def ready(self) -> None:
        from celery_config.web import checks  # noqa: F401  (registers the checks)
        from celery_config.web.groups import ship_groups

        # All permissions are there after the last app.
        *_, last = apps.get_app_configs()
        post_migrate.connect(ship_groups, sender=last, dispatch_uid="ship groups")


class ServiceAdminConfig(AdminConfig):
    default_site = "celery_config.web.site.ServiceSite"
