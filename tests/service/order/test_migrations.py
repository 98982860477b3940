"""What a migration changes in rows that are there."""

from __future__ import annotations

import json
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection

from celery_config.messaging.models import IdempotencyKey
from celery_config.notifications.models import Delivery
from celery_config.saga.operations.permissions import PERMISSIONS
from celery_config.web.idempotency_keys import parse_key
from order_project.requests import Placed
from tests.service.order.conftest import Shop

pytestmark = pytest.mark.django_db


def test_lines_that_do_not_add_up_were_recovered(shop: Shop) -> None:
    """Else the audit would find them at each run: their prices are those of the day of the recovery."""
    other, same = shop.order().order, shop.order().order
    other.lines.update(unit_price=1)
    migration = import_module("order_project.migrations.0010_prices_of_lines")
    migration.mark_recovered_lines(apps, SimpleNamespace(connection=connection))
    assert [order.lines.get().price_source for order in (other, same)] == ["recovered", "catalogue"]


@pytest.mark.parametrize(
    ("client", "written", "now", "key"),
    [
        ("ada", "key-1", "ada", "key-1"),
        ("ada", '"key-1"', "ada", "key-1"),
        ("ada", r'" a \"b\" "', "ada", 'a "b"'),
        ("service", "key-1", "service:operator", "key-1"),
    ],
)
def test_keys_of_the_release_before_still_count(
    shop: Shop, client: str, written: str, now: str, key: str
) -> None:
    """Else a repeat after the update would be a second order."""
    order = shop.place(key, client=now).order
    request_hash = IdempotencyKey.objects.get().request_hash
    IdempotencyKey.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE order_idempotencykey (id integer, client varchar(150), key varchar(200),"
            " request_hash varchar(64), response json, created_at timestamptz)"
        )
        for number, (text, made) in enumerate([(written, order), (f'"{key}"', uuid4())]):
            cursor.execute(
                "INSERT INTO order_idempotencykey VALUES (%s, %s, %s, %s, %s, '2026-11-01 12:00:00+00:00')",
                [number, client, text, request_hash, json.dumps({"order": str(made)})],
            )
        migration = import_module("order_project.migrations.0012_keys_of_all_requests")
        migration.move_keys(apps, SimpleNamespace(connection=connection, execute=cursor.execute))
    assert shop.place(parse_key(written), client=now) == Placed(order, repeated=True)
    moved = IdempotencyKey.objects.earliest("created_at")
    assert (moved.subject, moved.status, moved.created_at.month) == (order, 202, 11)


def test_who_had_the_permission_of_all_verbs_has_each(django_user_model: Any) -> None:
    """A person who had it alone, and a group."""
    kind = ContentType.objects.get(app_label="saga", model="sagainstance")
    old = Permission.objects.create(content_type=kind, codename="change_sagainstance", name="Can change saga")
    ada, group = django_user_model.objects.create_user("ada"), Group.objects.create(name="night shift")
    ada.user_permissions.add(old)
    group.permissions.add(old)
    migration = import_module("celery_config.saga.migrations.0018_permission_for_each_verb")
    migration.give_each(apps, SimpleNamespace(connection=connection))
    verbs = {name.partition(".")[2] for name in PERMISSIONS.values()} - {"change_deadletter"}
    each = {"add_batch", "change_batch", *verbs}
    for holder in (ada.user_permissions, group.permissions):
        assert {*holder.values_list("codename", flat=True)} == each
    assert not Permission.objects.filter(codename="change_sagainstance").exists()


def test_messages_of_webhooks_keep_their_host_alone() -> None:
    for target in ("https://hooks.example.com/T0/x?y=1", "https://hooks.example.com", "ada@example.com"):
        Delivery.objects.create(target=target, message="test")
    import_module("celery_config.notifications.migrations.0002_targets_without_path").shorten_targets(
        apps, None
    )
    targets = Delivery.objects.order_by("target").values_list("target", flat=True)
    assert [*targets] == ["ada@example.com", "https://hooks.example.com", "https://hooks.example.com/…"]
