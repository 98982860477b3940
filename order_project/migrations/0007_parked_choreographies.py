from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("order", "0006_erasure"),
    ]

    operations = [
        migrations.AddField(
            "choreography",
            "owner",
            models.CharField(
                blank=True, db_default="", default="", help_text="who has to decide about it while it is parked",
                max_length=150,
            ),
        ),
        migrations.AddField(
            "choreography",
            "answer_by",
            models.DateTimeField(
                blank=True, help_text="by when its owner decides about it; by the clock on the wall", null=True
            ),
        ),
        migrations.AddField(
            "choreography",
            "fingerprint",
            models.CharField(
                blank=True, db_default="", default="", help_text="what parked it, without what is its own",
                max_length=200,
            ),
        ),
    ]
