"""Customers are published, with currency and addresses; the copy of the catalogue is one as any other."""

from django.db import migrations, models
from django.db.models import F

import celery_config.common.iso
import celery_config.copies.fields
import celery_config.db.functions
import order_project.addresses


def known_since(apps, editor):
    """What the copy held was changed at its source when it was written here, or before."""
    apps.get_model("order", "CatalogueProduct").objects.update(changed_at=F("applied_at"))


class Migration(migrations.Migration):
    dependencies = [
        ("order", "0004_choreographed_orders"),
        ("copies", "0001_initial"),
    ]

    operations = [
        migrations.RenameField("catalogueproduct", "updated_at", "applied_at"),
        migrations.AddField("catalogueproduct", "changed_at", models.DateTimeField(null=True)),
        migrations.RunPython(known_since, migrations.RunPython.noop, elidable=True),
        migrations.AlterField(
            "catalogueproduct",
            "changed_at",
            models.DateTimeField(db_default=celery_config.db.functions.Now(), help_text="at its source"),
        ),
        migrations.AddField(
            "catalogueproduct", "deleted", models.BooleanField(db_default=False, default=False)
        ),
        migrations.AlterField(
            "catalogueproduct", "version", models.BigIntegerField(help_text="of the row at its source")
        ),
        migrations.AlterField(
            "catalogueproduct",
            "sku",
            celery_config.copies.fields.KeyField(max_length=64, primary_key=True, serialize=False),
        ),
        migrations.AddField(
            "customer",
            "currency",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="ISO 4217",
                max_length=3,
                validators=[celery_config.common.iso.validate_currency],
            ),
        ),
        migrations.AddField(
            "customer",
            "billing_address",
            models.JSONField(blank=True, null=True, validators=[order_project.addresses.validate_address]),
        ),
        migrations.AddField(
            "customer",
            "delivery_address",
            models.JSONField(blank=True, null=True, validators=[order_project.addresses.validate_address]),
        ),
        migrations.AddField(
            "customer",
            "version",
            celery_config.copies.fields.VersionField(
                db_default=0, editable=False, help_text="counts the changes, without a gap, from 1"
            ),
        ),
        migrations.AddField(
            "customer",
            "updated_at",
            celery_config.copies.fields.ChangedAtField(
                db_default=celery_config.db.functions.Now(), editable=False
            ),
        ),
        migrations.AddConstraint(
            "customer",
            models.CheckConstraint(
                condition=order_project.addresses.is_address("billing_address"),
                name="customer_billing_address",
            ),
        ),
        migrations.AddConstraint(
            "customer",
            models.CheckConstraint(
                condition=order_project.addresses.is_address("delivery_address"),
                name="customer_delivery_address",
            ),
        ),
    ]
