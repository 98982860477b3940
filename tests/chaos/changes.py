"""`python -m tests.chaos.changes SERVICE`: fills the published table of a service and changes its rows at random.

It writes in every way that is possible: through the ORM, one row or many at a time, and in SQL.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from tests.bench.service import set_up_django

FILLED_AT_ONCE, MOST_AT_ONCE = 2000, 200
ADDRESS = {"name": "Ada", "line1": "1 High St", "city": "London", "postal_code": "SW1", "country": "GB"}


class ChangedTable:
    """A published table, with random changes of its rows.

    Args:
        make: makes a new instance for a number.
        field: the name of a published text field, which is changed.
        chance: draws the changes.
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
            (self.create_rows, 2), (self.update_rows, 4), (self.update_in_bulk, 3), (self.save_row, 6),
            (self.delete_rows, 1), (self.restore_rows, 1), (self.update_by_sql, 3),
        )  # fmt: skip

    def fill_rows(self, count: int) -> None:
        while self.made < count:
            self.add_rows(range(self.made, min(count, self.made + FILLED_AT_ONCE)))

    def add_rows(self, numbers: Any) -> int:
        made = self.rows.bulk_create([self.make(number) for number in numbers])
        self.keys += [row.pk for row in made]
        self.made = max(self.made, max(numbers, default=0) + 1)
        return len(made)

    def change_rows(self) -> int:
        """Make one change of some rows; return how many rows changed."""
        kinds, weights = zip(*self.kinds, strict=True)
        return int(self.chance.choices(kinds, weights)[0]())

    def choose_keys(self, most: int = MOST_AT_ONCE) -> list[Any]:
        return self.chance.sample(self.keys, min(len(self.keys), self.chance.randrange(1, most)))

    def make_text(self) -> str:
        return f"Changed {self.chance.randrange(10**9)} ä'\""

    def create_rows(self) -> int:
        return self.add_rows(range(self.made, self.made + self.chance.randrange(1, MOST_AT_ONCE)))

    def update_rows(self) -> int:
        return int(self.rows.filter(pk__in=self.choose_keys()).update(**{self.field: self.make_text()}))

    def update_in_bulk(self) -> int:
        rows = list(self.rows.filter(pk__in=self.choose_keys()))
        for row in rows:
            setattr(row, self.field, self.make_text())
        return int(self.rows.bulk_update(rows, [self.field]))

    def save_row(self) -> int:
        row = self.rows.get(pk=self.chance.choice(self.keys))
        setattr(row, self.field, self.make_text())
        row.save()
        return 1

    def delete_rows(self) -> int:
        some = set(self.choose_keys(MOST_AT_ONCE // 4))
        self.rows.filter(pk__in=some).delete()
        self.gone += [read_number(key) for key in some]
        self.keys = [key for key in self.keys if key not in some]
        return len(some)

    def restore_rows(self) -> int:
        some, self.gone = self.gone[:20], self.gone[20:]
        return self.add_rows(some)

    def update_by_sql(self) -> int:
        from django.db import connection

        table = self.model._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {table} SET {self.field} = %s WHERE {self.model._meta.pk.column} = ANY(%s)",
                [self.make_text(), self.choose_keys()],
            )
            return int(cursor.rowcount)


def read_number(key: Any) -> int:
    return key.int if isinstance(key, UUID) else int(key[1:])


def make_table(service: str, chance: random.Random) -> ChangedTable:
    if service == "inventory":
        from inventory_app.models import Product

        def product(number: int) -> Any:
            return Product(
                sku=f"C{number:09d}", name=f"Product {number}", price=number, currency="GBP", weight_grams=20
            )

        return ChangedTable(Product, product, "name", chance)
    from order_project.models import Customer

    def customer(number: int) -> Any:
        return Customer(
            id=UUID(int=number), name=f"Customer {number}", email=f"c{number}@example.com", currency="GBP",
            billing_address=ADDRESS, delivery_address=ADDRESS,
        )  # fmt: skip

    return ChangedTable(Customer, customer, "name", chance)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service", choices=["order", "inventory"])
    parser.add_argument("--rows", type=int, default=0, help="rows that exist before the changes")
    parser.add_argument("--changes", type=int, default=0, help="rows to change before it ends")
    parser.add_argument("--rate", type=float, default=0.0, help="rows a second; full speed by default")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    set_up_django(options.service)
    table = make_table(options.service, random.Random(options.seed))
    table.fill_rows(options.rows)
    print("filled", flush=True)
    began, done = time.monotonic(), 0
    while done < options.changes:
        done += table.change_rows()
        if options.rate:
            time.sleep(max(0.0, began + done / options.rate - time.monotonic()))
    print(f"{options.service}: {done} rows changed, {len(table.keys)} left", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
