from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("batches", "0003_letters"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="batch",
            options={
                "default_permissions": ("view", "add", "change"),
                "verbose_name": "batch",
                "verbose_name_plural": "batches",
            },
        ),
    ]
