"""Staff who may change accounts and groups give and take only rights that they have themselves."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from order_project.models import Customer
from tests.service.pages import open_form, save_form

pytestmark = pytest.mark.django_db
OWN = ("change_user", "delete_user", "view_user", "add_group", "change_group")


def make_account(name: str, *rights: str, **more: Any) -> User:
    account = User.objects.create_user(name, password="analytical", is_staff=True, **more)
    account.user_permissions.set(Permission.objects.filter(codename__in=rights))
    return account


@pytest.fixture
def clerk() -> User:
    return make_account("clerk", *OWN)


@pytest.fixture
def page(clerk: User) -> Client:
    client = Client()
    client.force_login(clerk)
    return client


def change(client: Client, account: User, **more: Any) -> int:
    joined = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    given = {"username": account.username, "email": "new@example.com", "is_active": "on", **joined, **more}
    address = reverse("admin:auth_user_change", args=[account.pk])
    opened = open_form(client, address) or "a page without a form"
    return int(save_form(client, address, given, made_from=opened).status_code)


def test_they_change_accounts_and_no_rights(page: Client, clerk: User) -> None:
    refund, group = Permission.objects.get(codename="add_refund"), Group.objects.create(name="cashiers")
    group.permissions.add(refund)
    rights = {"is_superuser": "on", "is_staff": "on", "user_permissions": [refund.pk], "groups": [group.pk]}
    other = User.objects.create_user("ada")
    for account in (clerk, other):
        assert change(page, account, **rights) == 302
        kept = User.objects.get(pk=account.pk)
        assert kept.email == "new@example.com"
        assert (kept.is_superuser, kept.is_staff) == (False, account is clerk)
        assert not kept.has_perm("order.add_refund")


def test_a_groups_rights_are_an_administrators(page: Client, admin_client: Client) -> None:
    refund, group = Permission.objects.get(codename="add_refund"), Group.objects.create(name="cashiers")
    address = reverse("admin:auth_group_change", args=[group.pk])
    for client, rights in ((page, []), (admin_client, [refund])):
        assert save_form(client, address, {"name": "tills", "permissions": [refund.pk]}).status_code == 302
        assert list(group.permissions.all()) == rights
    assert (
        page.post(reverse("admin:auth_group_add"), {"name": "new", "permissions": [refund.pk]}).status_code
        == 302
    )
    assert not Group.objects.get(name="new").permissions.exists()


@pytest.mark.parametrize("above", ["administrator", "one who refunds", "one who refunded"])
def test_accounts_with_more_rights_are_not_theirs(page: Client, above: str) -> None:
    """Also inactive ones: their rights come back with a tick."""
    account = make_account("ada", "add_refund", is_superuser=above == "administrator")
    User.objects.filter(pk=account.pk).update(is_active=above != "one who refunded")
    before = User.objects.values().get(pk=account.pk)
    assert change(page, account) == 403
    passwords = {"password1": "hacked-12345", "password2": "hacked-12345", "usable_password": "true"}
    for name, given in (
        ("auth_user_password_change", passwords),
        ("admin:auth_user_delete", {"post": "yes"}),
    ):
        address = reverse(name if ":" in name else f"admin:{name}", args=[account.pk])
        assert page.post(address, given).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [account.pk], "post": "yes"}
    page.post(reverse("admin:auth_user_changelist"), chosen)
    assert User.objects.values().get(pk=account.pk) == before


def test_an_administrator_gives_rights(admin_client: Client) -> None:
    account = User.objects.create_user("ada")
    assert change(admin_client, account, is_staff="on", is_superuser="on") == 302
    assert User.objects.get(pk=account.pk).is_superuser


def test_they_keep_their_own_name(page: Client, clerk: User) -> None:
    """Under another name a person would approve what they ask for themselves, and begin a new count."""
    assert change(page, clerk, username="another") == 302
    assert User.objects.get(pk=clerk.pk).username == "clerk"
    other = User.objects.create_user("ada")
    assert change(page, other, username="lovelace") == 302
    assert User.objects.get(pk=other.pk).username == "lovelace"


@pytest.mark.parametrize("may", [True, False])
def test_whose_account_a_customer_is_says_who_changes_accounts(may: bool) -> None:
    """Who is a customer orders in their name, and stops their orders without being counted."""
    rights = ["change_customer", "add_customer", *(["change_user"] if may else [])]
    support = make_account("support", *rights)
    customer, client = Customer.objects.create(name="Ada"), Client()
    client.force_login(support)
    address = reverse("admin:order_customer_change", args=[customer.pk])
    answer = save_form(client, address, {"name": "Ada King", "user": support.pk})
    assert answer.status_code == 302
    customer.refresh_from_db()
    assert (customer.name, customer.user) == ("Ada King", support if may else None)
    other = make_account("other")
    form = {"name": "Bob", "user": other.pk, "id": str(uuid4())}
    assert client.post(reverse("admin:order_customer_add"), form).status_code == 302
    assert Customer.objects.get(name="Bob").user == (other if may else None)
