from django.db import migrations

from celery_config.db.index_operations import AddBeginningIndex


class Migration(migrations.Migration):
    """Ctrl-K finds a customer by the beginning of a name."""

    atomic = False
    dependencies = [("order", "0016_order_notes")]

    operations = [AddBeginningIndex("customer_by_name", "order_customer", "name")]
