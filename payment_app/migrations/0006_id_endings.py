from django.db import migrations, models

from celery_config.db.functions import IdEnding
from celery_config.db.index_operations import AddBeginningIndex, AddIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("payment", "0005_currency")]

    operations = [
        AddIndex("payment", models.Index(IdEnding("order"), name="payment_by_order_ending")),
        AddIndex("payment", models.Index(IdEnding("id"), name="payment_by_ending")),
        AddIndex("refund", models.Index(IdEnding("id"), name="refund_by_ending")),
        AddBeginningIndex("billing_customer_by_email", "payment_billingcustomer", "email"),
    ]
