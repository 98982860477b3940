from django.db import migrations, models

from celery_config.db.functions import IdEnding
from celery_config.db.index_operations import AddIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("inventory", "0008_printable_skus")]

    operations = [
        AddIndex("reservation", models.Index(IdEnding("order"), name="reservation_by_ending")),
    ]
