"""Every price that a product has is kept, by a trigger, so that the audit knows them however they were set."""

from __future__ import annotations

from typing import Any, ClassVar

import celery_config.db.functions
from django.db import migrations, models

INSERT = "INSERT INTO inventory_price (sku, amount) VALUES (NEW.sku, NEW.price)"
POSTGRESQL = f"""
CREATE FUNCTION inventory_keep_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {INSERT};
    RETURN NULL;
END $$;
CREATE TRIGGER inventory_price_new AFTER INSERT ON inventory_product
    FOR EACH ROW EXECUTE FUNCTION inventory_keep_price();
CREATE TRIGGER inventory_price_changed AFTER UPDATE OF price ON inventory_product
    FOR EACH ROW WHEN (NEW.price <> OLD.price) EXECUTE FUNCTION inventory_keep_price();
"""
SQLITE = (
    f"CREATE TRIGGER inventory_price_new AFTER INSERT ON inventory_product BEGIN {INSERT}; END",
    "CREATE TRIGGER inventory_price_changed AFTER UPDATE OF price ON inventory_product"
    f" WHEN NEW.price <> OLD.price BEGIN {INSERT}; END",
)
PRESENT = "INSERT INTO inventory_price (sku, amount) SELECT sku, price FROM inventory_product"


def keep_prices(apps: Any, editor: Any) -> None:
    editor.execute(PRESENT, params=None)
    for statement in [POSTGRESQL] if editor.connection.vendor == "postgresql" else SQLITE:
        editor.execute(statement, params=None)


def stop(apps: Any, editor: Any) -> None:
    postgresql = editor.connection.vendor == "postgresql"
    for name in ("new", "changed"):
        editor.execute(f"DROP TRIGGER inventory_price_{name}" + (" ON inventory_product" if postgresql else ""))
    if postgresql:
        editor.execute("DROP FUNCTION inventory_keep_price")


class Migration(migrations.Migration):
    dependencies: ClassVar = [("inventory", "0006_who_did_it")]
    operations: ClassVar = [
        migrations.CreateModel(
            name="Price",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sku", models.CharField(db_index=True, max_length=64)),
                ("amount", models.BigIntegerField(help_text="in minor units of the product's currency")),
                ("at", models.DateTimeField(db_default=celery_config.db.functions.Now())),
            ],
        ),
        migrations.RunPython(keep_prices, stop),
    ]
