from django.db import migrations, models

from celery_config.db.functions import IdEnding
from celery_config.db.index_operations import AddIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shipment", "0003_parts_of_addresses")]

    operations = [
        AddIndex("shipment", models.Index(IdEnding("order"), name="shipment_by_ending")),
    ]
