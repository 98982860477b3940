"""The change log begins with the present prices, so that the audit knows all prices from now on."""

from django.db import migrations

CHUNK = 1000


def record_prices(apps, schema_editor):
    Product, ChangeRecord = apps.get_model("inventory", "Product"), apps.get_model("api", "ChangeRecord")
    last = ""
    while rows := list(Product.objects.filter(pk__gt=last).order_by("pk").values_list("pk", "price")[:CHUNK]):
        ChangeRecord.objects.bulk_create(
            ChangeRecord(kind="product", key=sku, what={"price": [None, price]}, by="an update of the software")
            for sku, price in rows
        )
        last = rows[-1][0]


class Migration(migrations.Migration):
    dependencies = [("inventory", "0006_who_did_it"), ("api", "0001_tokens")]
    operations = [migrations.RunPython(record_prices, migrations.RunPython.noop)]
