"""Customers over HTTP, and what the order service publishes of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from celery_config.common.service_calls import OPERATOR
from celery_config.contracts.base import decode, encode
from celery_config.contracts.order import CustomerChanged
from celery_config.contracts.values import Address
from celery_config.copies.ranges import Range, make_piece, split_at, split_by_size
from celery_config.copies.readers import SourceReader, stream_rows
from celery_config.copies.registry import Copy, publications
from celery_config.copies.source_client import ChangePage, SourceClient
from celery_config.messaging.models import OutboxMessage
from order_project.customers import CustomerSerializer
from order_project.models import Customer
from tests.service.peer import bearer
from tests.service.together import concurrent, together

pytestmark = pytest.mark.django_db
HOME = Address(name="Ada", line1="1 High St", city="London", postal_code="SW1", country="GB")
FIELDS = ("name", "email", "currency", "billing_address")


class PeerHere:
    """The order service's API as another service's client would call it."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def get(self, path: str) -> Any:
        return self.checked(self.client.get(path))

    def post(self, path: str, body: Any) -> Any:
        return self.checked(self.client.post(path, body, format="json"))

    def checked(self, answer: Any) -> Any:
        assert answer.status_code == 200, answer.content
        return msgspec.json.decode(answer.content)


class Billing(Copy):
    """As payment keeps it; its table is in payment's database."""

    fields = FIELDS  # type: ignore[assignment]


@pytest.fixture
def source(peer: Any) -> SourceClient:
    publication = publications["customer"]
    copy = Billing(None, publication.changed, publication.deleted)  # type: ignore[arg-type]
    return SourceClient(copy, PeerHere(peer))  # type: ignore[arg-type]


def make(count: int) -> list[str]:
    Customer.objects.bulk_create(
        [
            Customer(name=f"C{n}", email=f"c{n}@example.com", billing_address=encode(HOME))
            for n in range(count)
        ]
    )
    return [str(pk) for pk in Customer.objects.order_by("pk").values_list("pk", flat=True)]


class TestOverHttp:
    def test_a_customer_is_made_changed_and_shown_with_its_version(self, peer: Any) -> None:
        made = peer.post("/api/customers/", {"name": "Ada", "billing_address": encode(HOME)}, format="json")
        assert made.status_code == 201, made.content
        assert (made.data["version"], made.data["billing_address"]) == (1, encode(HOME))
        url = f"/api/customers/{made.data['id']}/"
        changed = peer.patch(url, {"currency": "EUR", "delivery_address": encode(HOME)}, format="json")
        assert changed.data["version"] == 2
        assert peer.get(url).data["currency"] == "EUR"
        events = OutboxMessage.objects.filter(name="order.customer_changed").order_by("id")
        payloads = [decode(CustomerChanged, e["data"]) for e in events.values_list("payload", flat=True)]
        assert payloads[1] == CustomerChanged(
            customer=UUID(made.data["id"]), name="Ada", email="", currency="EUR", billing_address=HOME,
            delivery_address=HOME, version=2,
        )  # fmt: skip

    def test_a_patch_changes_an_address_as_a_whole(self, peer: Any) -> None:
        (key,) = make(1)
        url = f"/api/customers/{key}/"
        answer = peer.patch(url, {"billing_address": {**encode(HOME), "country": "US"}}, format="json")
        assert [error["field"] for error in answer.json()["errors"]] == ["billing_address.region"]
        answer = peer.patch(url, {"billing_address": {"name": "Ada", "country": "HK"}}, format="json")
        assert [error["field"] for error in answer.json()["errors"]] == ["billing_address.line1"]
        hong_kong = {"name": "Ada", "line1": "1", "line2": "", "region": "Kowloon", "country": "HK"}
        assert peer.patch(url, {"billing_address": hong_kong}, format="json").status_code == 200
        kept = {**hong_kong, "city": "", "postal_code": ""}
        del kept["line2"]
        assert peer.get(url).data["billing_address"] == kept

    def test_one_with_orders_stays(self, peer: Any, shop: Any) -> None:
        shop.order()
        answer = peer.delete(f"/api/customers/{shop.customer.pk}/")
        assert (answer.status_code, answer.json()["code"]) == (409, "customer_has_orders")

    def test_one_without_is_deleted(self, peer: Any) -> None:
        (key,) = make(1)
        assert peer.delete(f"/api/customers/{key}/").status_code == 204
        assert OutboxMessage.objects.filter(name="order.customer_deleted").count() == 1

    @pytest.mark.parametrize(
        "change", [{"currency": "XYZ"}, {"billing_address": {"name": "Ada"}}, {"delivery_address": 1}]
    )
    def test_what_nobody_could_read_is_refused(self, peer: Any, change: dict[str, Any]) -> None:
        (key,) = make(1)
        assert peer.patch(f"/api/customers/{key}/", change, format="json").status_code == 400

    def test_any_number_of_them_has_no_number_elsewhere(self, peer: Any) -> None:
        for reference in ("", None, ""):
            made = peer.post("/api/customers/", {"name": "Ada", "reference": reference}, format="json")
            assert (made.status_code, made.data["reference"]) == (201, None)

    @pytest.mark.parametrize(
        "email",
        ["ada@example.com", "ада@пример.рф", "संपर्क@डाटामेल.भारत", "用户@例子.广告", "jörg@example.com"],
    )
    def test_an_address_of_mail_in_any_script(self, peer: Any, email: str) -> None:
        made = peer.post("/api/customers/", {"name": "Ada", "email": email}, format="json")
        assert (made.status_code, made.data.get("email")) == (201, email)

    @pytest.mark.parametrize(
        "email",
        ["ada", "ада@", "@пример.рф", "a\u202eb@example.com", "ada lovelace@example.com", "a\0@example.com"],
    )
    def test_what_is_no_address_of_mail(self, peer: Any, email: str) -> None:
        answer = peer.post("/api/customers/", {"name": "Ada", "email": email}, format="json")
        assert answer.status_code == 400

    def test_strangers_see_nothing(self, stranger: Any) -> None:
        for url in ("/api/customers/", "/api/copies/", "/api/published/customer/"):
            assert stranger.get(url).status_code in (401, 403)


class TestAsPublished:
    def test_pieces_and_rows_are_those_of_the_table(self, source: SourceClient) -> None:
        keys = make(30)
        Customer.objects.filter(pk=keys[3]).delete()
        here = SourceReader(publications["customer"], FIELDS)
        ours = split_by_size(stream_rows(here, None, None), None, 8, 10)
        assert source.fetch_pieces([Range()], 8, 10) == [ours]
        assert [piece.rows for piece in ours] == [8, 8, 8, 6]
        assert split_at(stream_rows(here, None, None), [piece.upto for piece in ours]) == ours
        assert source.count_rows() == 30
        rows = source.read_range(keys[1], keys[4], 10)
        assert [(row.key, row.version, row.values is None) for row in rows] == [
            (keys[2], 1, False), (keys[3], 2, True), (keys[4], 1, False),
        ]  # fmt: skip
        customer = Customer.objects.get(pk=keys[2])
        assert rows[0].values == (customer.name, customer.email, "", encode(HOME))
        assert source.read_keys([keys[3], keys[5], str(UUID(int=1))]).keys() == {keys[3], keys[5]}

    def test_a_copy_of_the_release_before_has_no_difference_in_parts_that_it_does_not_know(
        self, peer: Any, source: SourceClient
    ) -> None:
        (key,) = make(1)
        Customer.objects.update(billing_address={**encode(HOME), "line2": "Flat 3", "region": ""})
        (today,) = source.read_keys([key]).values()
        assert today.values
        assert today.values[-1] == {**encode(HOME), "line2": "Flat 3"}
        body = {"fields": FIELDS, "keys": [key]}
        (before,) = peer.post("/api/published/customer/rows/", body, format="json").json()
        assert before["values"][-1] == encode(HOME)
        whole = {"ranges": [{"after": None, "upto": None}], "size": 9, "most": 9, "fields": FIELDS}
        ((piece,),) = peer.post("/api/published/customer/pieces/", whole, format="json").json()
        assert (
            piece["checksum"]
            == make_piece([replace(today, values=(*today.values[:-1], encode(HOME)))], None).checksum
        )

    def test_a_long_range_is_asked_for_piece_by_piece(self, source: SourceClient) -> None:
        keys = make(30)
        (pieces,) = source.fetch_pieces([Range()], 4, 3)
        assert [piece.upto for piece in pieces] == [keys[3], keys[7], keys[11]]
        assert [
            len(each) for each in source.fetch_pieces([Range(keys[11]), Range(None, keys[1])], 10, 9)
        ] == [2, 1]

    def test_changes_come_in_their_order_and_end_where_nothing_is_left(self, source: SourceClient) -> None:
        keys = make(2)
        Customer.objects.filter(pk=keys[0]).update(name="New")
        Customer.objects.filter(pk=keys[1]).delete()
        found = self.visible(source, "")
        assert [(c.key, c.version) for c in found.changes] == [
            (keys[0], 1), (keys[1], 1), (keys[0], 2), (keys[1], 2),
        ]  # fmt: skip
        assert 0 <= found.changes[0].age < 60
        later = source.fetch_changes(found.changes[1].cursor).changes
        assert [change.cursor for change in later] == [change.cursor for change in found.changes[2:]]
        assert source.fetch_changes(found.cursor) == ChangePage((), found.cursor, epoch=found.epoch)

    def visible(self, source: SourceClient, after: str) -> ChangePage:
        # In a test's own transaction nothing is below every running one.
        OutboxMessage.objects.update(transaction=0)
        return source.fetch_changes(after)

    @pytest.mark.parametrize(
        ("url", "body"),
        [
            ("pieces", {"fields": ["user"], "ranges": [{"after": None, "upto": None}], "size": 1, "most": 1}),
            ("pieces", {"fields": [], "ranges": [{"after": "x", "upto": None}], "size": 1, "most": 1}),
            ("pieces", {"fields": [], "ranges": [], "size": 1, "most": 1}),
            ("pieces", {"fields": [], "ranges": [{"after": None, "upto": None}], "size": 0, "most": 1}),
            ("rows", {"fields": [], "keys": ["x"]}),
            ("rows", {"fields": [], "keys": ["x"] * 501}),
        ],
    )
    def test_a_question_that_is_none_is_a_400(self, peer: Any, url: str, body: dict[str, Any]) -> None:
        answer = peer.post(f"/api/published/customer/{url}/", body, format="json")
        assert answer.status_code == 400, answer.content
        assert answer.json()["code"] == "invalid"

    def test_what_is_not_published_is_a_404(self, peer: Any) -> None:
        assert peer.get("/api/published/order/").status_code == 404


@concurrent
def test_two_at_once_with_one_reference() -> None:
    """Both looked before either wrote: the second gets what it would have got a moment later, not a 500."""

    def create(reference: str) -> tuple[int, Any]:
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=bearer(OPERATOR))
        body = {"name": "Ada", "email": "ada@example.org", "currency": "EUR", "reference": reference}
        answer = client.post("/api/customers/", body, format="json")
        return answer.status_code, answer.json()

    for attempt in range(10):
        create_one = partial(create, f"C-{attempt}")
        (created, _), (refused, problem) = sorted(together(create_one, create_one))
        assert (created, refused, problem["code"]) == (201, 409, "reference_taken")


def test_a_reference_that_another_customer_has(peer: Any) -> None:
    """It is no matter of the input: the same request may succeed later."""
    ada, bo = (
        peer.post(
            "/api/customers/", {"name": name, "email": "a@example.org", "reference": name}, format="json"
        ).json()
        for name in ("Ada", "Bo")
    )
    body = {"name": "Ida", "email": "a@example.org", "reference": "Ada"}
    url = f"/api/customers/{bo['id']}/"
    for send, where in ((peer.post, "/api/customers/"), (peer.put, url), (peer.patch, url)):
        answer = send(where, body, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "reference_taken")
    assert peer.patch(f"/api/customers/{ada['id']}/", {"reference": "Ada"}, format="json").status_code == 200
    assert sorted(Customer.objects.values_list("name", flat=True)) == ["Ada", "Bo"]


def test_a_change_sets_no_other_change_back() -> None:
    """The row was read before it was locked, and another request has changed it in between."""
    read = Customer.objects.create(name="Ada", email="ada@example.com")
    Customer.objects.update(email="new@example.com")
    context = {"request": SimpleNamespace(user=User(username="bo"))}
    form = CustomerSerializer(read, data={"name": "Bo"}, partial=True, context=context)
    form.is_valid(raise_exception=True)
    saved = form.save()
    kept = Customer.objects.get()
    assert (kept.name, kept.email, saved.email) == ("Bo", "new@example.com", "new@example.com")


@pytest.mark.parametrize("field", ["id", "version", "created_at", "updated_at"])
def test_what_only_answers_have_is_refused_by_name(peer: APIClient, field: str) -> None:
    customer = Customer.objects.create(name="Ada")
    for answer in (
        peer.post("/api/customers/", {"name": "Bo", field: 7}, format="json"),
        peer.patch(f"/api/customers/{customer.pk}/", {"name": "Bo", field: 7}, format="json"),
    ):
        assert answer.status_code == 400
        (error,) = answer.json()["errors"]
        assert (error["field"], error["code"]) == (field, "unknown_field")
        assert "cannot be set" in error["detail"]
    assert list(Customer.objects.values_list("name", flat=True)) == ["Ada"]
