"""A form of the admin sets no value back that was changed after the page was opened."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from order_project.models import Customer
from tests.service.pages import open_form, save_form
from tests.service.together import concurrent, together

pytestmark = pytest.mark.django_db


def refusal(answer: Any) -> str:
    assert answer.status_code == 200
    (error,) = answer.context["adminform"].form.non_field_errors()
    assert error in answer.content.decode()
    return str(error)


def test_an_old_form_is_refused_and_writes_nothing(admin_client: Client, peer: Any) -> None:
    customer = Customer.objects.create(name="Ada", email="ada@example.com", reference="7")
    address = reverse("admin:order_customer_change", args=[customer.pk])
    opened, form = open_form(admin_client, address), {"name": "Ada L.", "email": "ada@example.com"}
    assert 'name="made_from"' in admin_client.get(address).content.decode()
    home = {"name": "Ada", "line1": "1 High St", "city": "London", "postal_code": "SW1", "country": "GB"}
    changed = {"email": "new@example.com", "reference": None, "billing_address": home}
    assert peer.patch(f"/api/customers/{customer.pk}/", changed, format="json").status_code == 200
    told = refusal(save_form(admin_client, address, form, made_from=opened))
    assert "Nothing was saved" in told
    for words in ("Email (now new@example.com)", "Reference", "Billing address", "Open the page again"):
        assert words in told, told
    assert "Name" not in told
    customer.refresh_from_db()
    assert (customer.name, customer.email, customer.billing_address) == ("Ada", "new@example.com", home)
    fresh = {
        **form,
        "email": "new@example.com",
        **{f"billing_address_{name}": value for name, value in home.items()},
    }
    assert save_form(admin_client, address, fresh).status_code == 302
    assert Customer.objects.get().name == "Ada L."


def test_a_form_that_does_not_say_what_it_was_made_from_is_refused(admin_client: Client) -> None:
    customer = Customer.objects.create(name="Ada")
    address = reverse("admin:order_customer_change", args=[customer.pk])
    assert "Open the page again" in refusal(admin_client.post(address, {"name": "Bo"}))
    assert Customer.objects.get().name == "Ada"


def test_old_forms_of_accounts_and_groups_are_refused(admin_client: Client) -> None:
    account, group = User.objects.create_user("ada"), Group.objects.create(name="cashiers")
    pages = [
        reverse("admin:auth_user_change", args=[account.pk]),
        reverse("admin:auth_group_change", args=[group.pk]),
    ]
    opened = [open_form(admin_client, page) for page in pages]
    group.permissions.add(Permission.objects.get(codename="add_refund"))
    User.objects.filter(pk=account.pk).update(is_active=False)
    joined = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    forms = [{"username": "ada", "is_active": "on", **joined}, {"name": "tills"}]
    for page, form, seen, changed in zip(pages, forms, opened, ("Active", "Permissions"), strict=True):
        assert changed in refusal(save_form(admin_client, page, form, made_from=seen))
    account.refresh_from_db()
    assert (account.is_active, group.permissions.count()) == (False, 1)
    assert save_form(admin_client, pages[0], {"username": "bo", **joined}).status_code == 302


def test_a_login_makes_no_form_old(admin_client: Client) -> None:
    account = User.objects.create_user("ada")
    page = reverse("admin:auth_user_change", args=[account.pk])
    opened = open_form(admin_client, page)
    Client().force_login(account)
    form = {"username": "ada", "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    assert save_form(admin_client, page, form, made_from=opened).status_code == 302
    account.refresh_from_db()
    assert account.last_login is not None


@concurrent
def test_of_two_forms_saved_at_once_one_is_refused(admin_client: Client, admin_user: Any) -> None:
    customer = Customer.objects.create(name="Ada")
    address = reverse("admin:order_customer_change", args=[customer.pk])
    opened, twin = open_form(admin_client, address), Client()
    twin.force_login(admin_user)
    answers = together(
        lambda: save_form(admin_client, address, {"name": "Bo"}, made_from=opened),
        lambda: save_form(twin, address, {"name": "Cy"}, made_from=opened),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 302]
