"""Whole numbers reach the database as they are, also in expressions whose type Django guesses."""

from __future__ import annotations

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import BigIntegerField, ExpressionWrapper, F, Value

from celery_config.messaging.models import BarrierRow

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one type of whole numbers"),
]
LIMITS = [2**15 - 1, 2**15, 2**31 - 1, 2**31, 2**32 + 100, 10**12, 2**63 - 1]


@pytest.mark.parametrize("number", [0, *LIMITS, *(-number - 1 for number in LIMITS)])
def test_in_an_expression(number: int) -> None:
    row = ContentType.objects.create(app_label="numbers", model="number")
    read = ContentType.objects.filter(pk=row.pk).annotate(
        sent=Value(number), added=ExpressionWrapper(F("pk") * 0 + number, BigIntegerField())
    )
    assert read.values_list("sent", "added").get() == (number, number)


@pytest.mark.parametrize("number", [2**31, 2**32 + 100, 2**63, 10**30])
def test_one_that_a_column_cannot_hold_is_an_error_and_not_another_number(number: int) -> None:
    for kind in ("PositiveSmallIntegerField", "IntegerField", "PositiveIntegerField"):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT %s = %s::numeric",
                [connection.ops.adapt_integerfield_value(number, kind), str(number)],
            )
            assert cursor.fetchone() == (True,)
    assert not BarrierRow.objects.filter(tries=F("tries") + number).exists()
