from django.db import migrations, models

from celery_config.db.functions import IdEnding
from celery_config.db.index_operations import AddIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("saga", "0009_dead_letters_dealt_with")]

    operations = [
        AddIndex("sagainstance", models.Index(IdEnding("id"), name="saga_by_ending")),
        AddIndex("sagainstance", models.Index(IdEnding("subject"), name="saga_by_subject_ending")),
    ]
