from django.db import migrations, models

import celery_config.db.functions


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0003_contradiction"),
    ]

    operations = [
        migrations.CreateModel(
            name="Epoch",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False),
                ),
                ("token", models.CharField(max_length=8)),
                (
                    "server",
                    models.CharField(
                        blank=True, help_text="cluster and timeline of the database", max_length=60
                    ),
                ),
                ("began_at", models.DateTimeField(db_default=celery_config.db.functions.Now())),
                ("why", models.CharField(blank=True, db_default="", default="", max_length=300)),
                (
                    "recovering_since",
                    models.DateTimeField(
                        blank=True, help_text="clients are refused until the recovery is done", null=True
                    ),
                ),
            ],
        ),
    ]
