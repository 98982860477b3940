from __future__ import annotations

from typing import Any

from django.db import migrations, models

import celery_config.db.functions
from celery_config.db.index_operations import AddIndex, RemoveIndex, is_postgresql

UNSENT = models.Q(published_at__isnull=True, fault__isnull=True)


def drop_triggers(apps: Any, schema_editor: Any) -> None:
    """Drop SQLite's triggers that write into the outbox: it cannot alter a table of which others speak.

    They are made again after every `migrate`.
    """
    if is_postgresql(schema_editor):
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%messaging_outboxmessage%'"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP TRIGGER {name}")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("messaging", "0004_epoch")]

    operations = [
        migrations.RunPython(drop_triggers, migrations.RunPython.noop),
        migrations.AddField(
            "outboxmessage",
            "route",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="exchange and routing key; empty in rows of older versions",
                max_length=511,
            ),
        ),
        migrations.AddField(
            "outboxmessage",
            "fault",
            models.TextField(blank=True, help_text="why it cannot be sent: it is set aside", null=True),
        ),
        migrations.AlterField(
            "outboxmessage",
            "due_at",
            models.DateTimeField(
                db_default=celery_config.db.functions.Now(),
                help_text="when it could first be sent; never moved",
            ),
        ),
        AddIndex(
            "outboxmessage", models.Index(fields=["due_at", "id"], name="outbox_due", condition=UNSENT)
        ),
        AddIndex(
            "outboxmessage",
            models.Index(fields=["route", "due_at", "id"], name="outbox_by_route", condition=UNSENT),
        ),
        AddIndex(
            "outboxmessage",
            models.Index(
                fields=["id"],
                name="outbox_set_aside",
                condition=models.Q(published_at__isnull=True, fault__isnull=False),
            ),
        ),
        RemoveIndex("outboxmessage", "outbox_to_publish"),
        migrations.RunPython(migrations.RunPython.noop, drop_triggers),
    ]
