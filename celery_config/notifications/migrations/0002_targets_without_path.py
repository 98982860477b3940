"""What follows the host of a webhook's address is for those alone who may change its rule."""

from typing import Any

from django.db import migrations

from celery_config.notifications.addresses import hide_path


def shorten_targets(apps: Any, _: Any) -> None:
    deliveries = apps.get_model("notifications", "Delivery").objects.filter(target__startswith="http")
    for target in deliveries.order_by().values_list("target", flat=True).distinct():
        deliveries.filter(target=target).update(target=hide_path(target))


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_notifications")]
    operations = [migrations.RunPython(shorten_targets, migrations.RunPython.noop)]
