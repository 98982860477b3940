from django.db import migrations, models
from django.db.models import F, Sum


def mark_recovered_lines(apps, schema_editor):
    """Until now nothing said which lines a recovery wrote at a later price: those that do not add up to the total."""
    order_line = apps.get_model("order", "OrderLine")
    lines = order_line.objects.using(schema_editor.connection.alias)
    cost = Sum(F("unit_price") * F("quantity"), output_field=models.BigIntegerField())
    other = lines.values("order").annotate(cost=cost).exclude(cost=F("order__total")).values("order")
    lines.filter(order__in=list(other.values_list("order", flat=True))).update(price_source="recovered")


class Migration(migrations.Migration):

    dependencies = [
        ("order", "0009_payablecurrency"),
    ]

    operations = [
        migrations.AddField(
            "orderline",
            "price_source",
            models.CharField(
                choices=[("catalogue", "catalogue"), ("agreed", "agreed"), ("recovered", "recovered")],
                db_default="catalogue",
                default="catalogue",
                max_length=10,
            ),
        ),
        migrations.RemoveConstraint("orderline", "order_line_once"),
        migrations.AddConstraint(
            "orderline",
            models.UniqueConstraint(
                fields=("order", "sku", "unit_price", "price_source"), name="order_line_once_a_price"
            ),
        ),
        migrations.RunPython(mark_recovered_lines, migrations.RunPython.noop),
    ]
