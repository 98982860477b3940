from __future__ import annotations

from django.db import migrations, models

from celery_config.db.index_operations import AddUniqueness


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("messaging", "0014_pace_of_calls")]

    operations = [
        migrations.AddField(
            "outboxmessage",
            "held_step",
            models.CharField(
                blank=True,
                help_text="what a held message asks for, once for each saga",
                max_length=160,
                null=True,
            ),
        ),
        AddUniqueness(
            "outboxmessage",
            models.UniqueConstraint(
                fields=["saga", "held_step"],
                name="outbox_held_once",
                condition=models.Q(hold__isnull=False),
            ),
        ),
    ]
