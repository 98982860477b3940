import celery_config.common.email_address
from django.db import migrations, models


class Migration(migrations.Migration):
    """The column stays as it is; addresses of mail in other scripts are valid."""

    dependencies = [("order", "0007_parked_choreographies")]

    operations = [
        migrations.AlterField(
            model_name="customer",
            name="email",
            field=models.CharField(
                blank=True,
                max_length=254,
                validators=[celery_config.common.email_address.InternationalEmailValidator()],
            ),
        ),
    ]
