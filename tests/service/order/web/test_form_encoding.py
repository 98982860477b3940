"""A form that is not UTF-8 is refused: nothing is stored with replacement characters."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from order_project.models import Customer

pytestmark = pytest.mark.django_db
URL_ENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n%s\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"name=Ada%ED%A0%BD", URL_ENCODED),
        (b"name=Ada%ed%b0%80", URL_ENCODED),
        (b"name=Ada\xed\xa0\xbd", URL_ENCODED),
        (b"name%FF=Ada", URL_ENCODED),
        (PART % b"Ada\xed\xa0\xbd", MULTIPART),
    ],
)
def test_half_a_surrogate_pair_is_refused(admin_client: Client, body: bytes, kind: str) -> None:
    answer = admin_client.post(reverse("admin:order_customer_add"), body, content_type=kind)
    assert answer.status_code == 400
    assert not Customer.objects.exists()


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"name=%C3%84d%C3%A4+%F0%9F%92%9C", URL_ENCODED), (PART % "Ädä 💜".encode(), MULTIPART)],
)
def test_whole_characters_are_kept(admin_client: Client, body: bytes, kind: str) -> None:
    answer = admin_client.post(reverse("admin:order_customer_add"), body, content_type=kind)
    assert answer.status_code == 302
    assert Customer.objects.get().name == "Ädä 💜"
