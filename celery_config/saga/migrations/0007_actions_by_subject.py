from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("saga", "0006_ids_that_grow"),
    ]

    operations = [
        migrations.AddField(
            "operatoraction",
            "subject",
            models.CharField(
                blank=True, db_default="", default="", help_text="what it is about: the order's id", max_length=64
            ),
        ),
        migrations.AddIndex(
            "operatoraction", models.Index(fields=["subject"], name="operator_action_by_subject")
        ),
    ]
