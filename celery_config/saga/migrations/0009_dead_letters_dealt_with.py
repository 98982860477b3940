from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("saga", "0008_standing_time"),
    ]

    operations = [
        migrations.AddField(
            "deadletter",
            "dealt_with_at",
            models.DateTimeField(
                blank=True, help_text="when an operator said so; it is deleted after its time", null=True
            ),
        ),
        migrations.AddField(
            "deadletter",
            "dealt_with_by",
            models.CharField(blank=True, db_default="", default="", max_length=150),
        ),
    ]
