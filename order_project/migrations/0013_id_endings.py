import django.db.models.deletion
from django.db import migrations, models

from celery_config.db.functions import IdEnding
from celery_config.db.index_operations import AddBeginningIndex, AddIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("order", "0012_keys_of_all_requests")]

    operations = [
        # The index of the customer alone: another begins with the customer.
        migrations.AlterField(
            "order",
            "customer",
            models.ForeignKey(
                blank=True,
                db_index=False,
                help_text="none: they were forgotten",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="orders",
                to="order.customer",
            ),
        ),
        AddIndex("customer", models.Index(IdEnding("id"), name="customer_by_ending")),
        AddIndex("order", models.Index(IdEnding("id"), name="order_by_ending")),
        AddIndex(
            "order",
            models.Index(
                fields=["tracking_number"], name="order_by_tracking", condition=~models.Q(tracking_number="")
            ),
        ),
        AddIndex("refund", models.Index(IdEnding("id"), name="refund_by_ending")),
        AddBeginningIndex("customer_by_email", "order_customer", "email"),
    ]
