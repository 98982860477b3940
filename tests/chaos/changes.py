"""`python -m tests.chaos.changes SERVICE`: fills what the service publishes, and changes it at random in every way.

It writes as anybody may who has the tables: through the ORM, one by one and many at once, and in SQL.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import sys
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from celery_config.common.services import SERVICES

FILLED_AT_ONCE, MOST_AT_ONCE = 2000, 200
ADDRESS = {"name": "Ada", "line1": "1 High St", "city": "London", "postal_code": "SW1", "country": "GB"}


class Table:
    """A published table under change.

    Args:
        make: a new instance with this number.
        field: one of the published fields, a text.
        number: one of them, a number; none, if there is none.
    """

    def __init__(self, model: Any, make: Callable[[int], Any], field: str, chance: random.Random) -> None:
        self.model = model
        self.make = make
        self.field = field
        self.chance = chance
        self.rows = model.objects
        self.keys: list[Any] = list(self.rows.order_by("pk").values_list("pk", flat=True))
        self.gone: list[int] = []
        self.made = len(self.keys)
        self.kinds = (
            (self.create, 2), (self.update, 4), (self.bulk_update, 3), (self.save, 6), (self.delete, 1),
            (self.bring_back, 1), (self.sql, 3),
        )  # fmt: skip

    def fill(self, count: int) -> None:
        while self.made < count:
            self.add(range(self.made, min(count, self.made + FILLED_AT_ONCE)))

    def add(self, numbers: Any) -> int:
        made = self.rows.bulk_create([self.make(number) for number in numbers])
        self.keys += [row.pk for row in made]
        self.made = max(self.made, max(numbers, default=0) + 1)
        return len(made)

    def change(self) -> int:
        """One change of some rows; return how many."""
        kinds, weights = zip(*self.kinds, strict=True)
        return int(self.chance.choices(kinds, weights)[0]())

    def some(self, most: int = MOST_AT_ONCE) -> list[Any]:
        return self.chance.sample(self.keys, min(len(self.keys), self.chance.randrange(1, most)))

    def text(self) -> str:
        return f"Changed {self.chance.randrange(10**9)} ä'\""

    def create(self) -> int:
        return self.add(range(self.made, self.made + self.chance.randrange(1, MOST_AT_ONCE)))

    def update(self) -> int:
        return int(self.rows.filter(pk__in=self.some()).update(**{self.field: self.text()}))

    def bulk_update(self) -> int:
        rows = list(self.rows.filter(pk__in=self.some()))
        for row in rows:
            setattr(row, self.field, self.text())
        return int(self.rows.bulk_update(rows, [self.field]))

    def save(self) -> int:
        row = self.rows.get(pk=self.chance.choice(self.keys))
        setattr(row, self.field, self.text())
        row.save()
        return 1

    def delete(self) -> int:
        some = set(self.some(MOST_AT_ONCE // 4))
        self.rows.filter(pk__in=some).delete()
        self.gone += [number_of(key) for key in some]
        self.keys = [key for key in self.keys if key not in some]
        return len(some)

    def bring_back(self) -> int:
        some, self.gone = self.gone[:20], self.gone[20:]
        return self.add(some)

    def sql(self) -> int:
        from django.db import connection

        table = self.model._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {table} SET {self.field} = %s WHERE {self.model._meta.pk.column} = ANY(%s)",
                [self.text(), self.some()],
            )
            return int(cursor.rowcount)


def number_of(key: Any) -> int:
    return key.int if isinstance(key, UUID) else int(key[1:])


def table_of(service: str, chance: random.Random) -> Table:
    if service == "inventory":
        from inventory_app.models import Product

        def product(number: int) -> Any:
            return Product(
                sku=f"C{number:09d}", name=f"Product {number}", price=number, currency="GBP", weight_grams=20
            )

        return Table(Product, product, "name", chance)
    from order_project.models import Customer

    def customer(number: int) -> Any:
        return Customer(
            id=UUID(int=number), name=f"Customer {number}", email=f"c{number}@example.com", currency="GBP",
            billing_address=ADDRESS, delivery_address=ADDRESS,
        )  # fmt: skip

    return Table(Customer, customer, "name", chance)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service", choices=["order", "inventory"])
    parser.add_argument("--rows", type=int, default=0, help="to be there before the changes")
    parser.add_argument("--changes", type=int, default=0, help="rows to be changed; then it ends")
    parser.add_argument(
        "--rate", type=float, default=0.0, help="rows a second; as many as can be, by default"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    os.environ["DJANGO_SETTINGS_MODULE"] = SERVICES[options.service].settings_module
    importlib.import_module("django").setup()
    table = table_of(options.service, random.Random(options.seed))
    table.fill(options.rows)
    print("filled", flush=True)
    began, done = time.monotonic(), 0
    while done < options.changes:
        done += table.change()
        if options.rate:
            time.sleep(max(0.0, began + done / options.rate - time.monotonic()))
    print(f"{options.service}: {done} rows changed, {len(table.keys)} left", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
