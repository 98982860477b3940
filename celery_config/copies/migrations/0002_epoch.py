from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("copies", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="copystate",
            name="epoch",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="of the source; other epochs' events are dropped",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="copystate",
            name="rebuilt_epoch",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="the one in which it was last refilled",
                max_length=8,
            ),
        ),
    ]
