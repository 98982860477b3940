"""The pages that no model has: the login, and what a person sees when something is wrong."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db


def test_no_breadcrumb_leads_from_a_name_to_the_same_name() -> None:
    names = {
        model._meta.label: (str(model._meta.app_config.verbose_name), str(model._meta.verbose_name_plural))
        for model in admin.site._registry
    }
    assert {label: each for label, each in names.items() if each[0].lower() == each[1].lower()} == {}


def test_the_page_of_an_app_has_the_group_in_which_its_pages_stand(admin_client: Client) -> None:
    page = admin_client.get("/admin/batches/").content.decode()
    assert "Orchestration" in page
    assert "/admin/saga/sagainstance/" in page


@pytest.mark.parametrize(
    ("address", "name"), [("messaging/outboxmessage", "Messages to send"), ("order/customer", "Customers")]
)
def test_the_tab_of_a_list_has_its_name(admin_client: Client, address: str, name: str) -> None:
    page = admin_client.get(f"/admin/{address}/").content.decode()
    title = page.partition("<title>")[2].partition("</title>")[0].strip()
    assert title.startswith(f"{name} | ")


def test_a_login_that_names_no_page_leads_to_the_admin(client: Client) -> None:
    User.objects.create_superuser("ada", password="a long password")
    answer = client.post("/admin/login/", {"username": "ada", "password": "a long password"})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


def test_an_address_without_a_page_leads_back(client: Client) -> None:
    answer = client.get("/no/such/page/")
    assert answer.status_code == 404
    assert "There is nothing at this address." in answer.content.decode()
    assert 'href="/admin/"' in answer.content.decode()


def test_a_page_that_is_not_allowed_says_what_to_do(client: Client) -> None:
    client.force_login(User.objects.create_user("bob", is_staff=True))
    answer = client.get("/admin/order/order/")
    assert answer.status_code == 403
    assert "Ask an administrator of this service" in answer.content.decode()


def test_an_unforeseen_error_says_what_to_do(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    admin_client.raise_request_exception = False
    monkeypatch.setattr("order_project.admin.OrderAdmin.get_queryset", lambda *_: 1 / 0)
    answer = admin_client.get("/admin/order/order/")
    assert answer.status_code == 500
    assert "look before you repeat it" in answer.content.decode()
