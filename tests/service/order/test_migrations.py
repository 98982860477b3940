"""What a migration changes in rows that are there."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection

from tests.service.order.conftest import Shop

pytestmark = pytest.mark.django_db


def test_lines_that_do_not_add_up_were_recovered(shop: Shop) -> None:
    """Else the audit would find them at each run: their prices are those of the day of the recovery."""
    other, same = shop.order().order, shop.order().order
    other.lines.update(unit_price=1)
    migration = import_module("order_project.migrations.0010_prices_of_lines")
    migration.mark_recovered_lines(apps, SimpleNamespace(connection=connection))
    assert [order.lines.get().price_source for order in (other, same)] == ["recovered", "catalogue"]
