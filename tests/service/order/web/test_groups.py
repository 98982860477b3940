"""Shipped groups: each permission is given once, and an administrator's changes stay."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from celery_config.common.roles import Role
from celery_config.saga.models import OperatorAction
from celery_config.saga.operations.permissions import PERMISSIONS
from celery_config.web.models import ShippedPermission
from order_project.groups import GROUPS
from tests.service.shipped import ship

pytestmark = pytest.mark.django_db


def read_permissions(group: str) -> set[str]:
    given = Group.objects.get(name=group).permissions
    return {f"{app}.{name}" for app, name in given.values_list("content_type__app_label", "codename")}


def test_each_group_has_what_its_service_names() -> None:
    """Every permission that is named exists: one that does not would be missing here."""
    assert {role: read_permissions(role) for role in Role} == {role: {*GROUPS[role]} for role in Role}


def test_what_an_administrator_changed_stays() -> None:
    operator = Group.objects.get(name=Role.OPERATOR)
    taken, added = (
        Permission.objects.get(codename="settle_sagainstance"),
        Permission.objects.get(codename="use_desk"),
    )
    operator.permissions.remove(taken)
    operator.permissions.add(added)
    Group.objects.get(name=Role.FINANCE).delete()
    Group.objects.filter(name=Role.READER).update(name="auditors")
    ship()
    assert {taken, added} & {*operator.permissions.all()} == {added}
    assert {*Group.objects.values_list("name", flat=True)} == {"auditors", "support", "operator", "catalogue"}


def test_a_permission_that_is_new_in_a_version_is_given_once() -> None:
    ShippedPermission.objects.filter(group=Role.SUPPORT, permission="order.add_ordernote").delete()
    support = Group.objects.get(name=Role.SUPPORT)
    note = Permission.objects.get(codename="add_ordernote")
    support.permissions.remove(note)
    ship()
    assert note in support.permissions.all()
    support.permissions.remove(note)
    ship()
    assert note not in support.permissions.all()


def test_a_group_that_had_the_name_before_gets_nothing() -> None:
    Group.objects.filter(name__in=Role).delete()
    ShippedPermission.objects.all().delete()
    Group.objects.create(name=Role.OPERATOR)
    ship()
    assert read_permissions(Role.OPERATOR) == set()
    assert read_permissions(Role.READER) == {*GROUPS[Role.READER]}


@pytest.fixture
def retrier(client: Client) -> Client:
    """One who may see sagas and bring them to an end, and nothing else."""
    user = User.objects.create_user("retrier", is_staff=True)
    codes = ("view_sagainstance", "retry_sagainstance", "view_batch", "add_batch", "change_batch")
    user.user_permissions.set(Permission.objects.filter(codename__in=codes))
    client.force_login(user)
    return client


def test_a_verb_for_a_whole_cause_needs_its_own_permission(retrier: Client) -> None:
    each = reverse("admin:saga_sagainstance_each")
    assert retrier.get(each, {"verb": "compensate", "fingerprint": "x"}).status_code == 403
    assert retrier.get(each, {"verb": "retry", "fingerprint": "x"}).status_code == 200


def test_a_batch_needs_the_permission_of_its_verb(retrier: Client) -> None:
    body: dict[str, Any] = {"status": "parked", "why": "the bank is back", "verb": "compensate"}
    refused = retrier.post("/api/batches/", body, content_type="application/json")
    assert refused.status_code == 403
    assert PERMISSIONS["compensate"] in refused.json()["detail"]
    passed = retrier.post("/api/batches/", {**body, "verb": "retry"}, content_type="application/json")
    assert passed.status_code == 409  # nothing is parked
    assert not OperatorAction.objects.exists()


def test_the_setting_names_the_groups_of_this_service() -> None:
    assert settings.GROUPS == "order_project.groups.GROUPS"
