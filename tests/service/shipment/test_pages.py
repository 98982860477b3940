"""The API, the admin, and the comparison with the carrier's books."""

from __future__ import annotations

from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from drf_spectacular.generators import SchemaGenerator

from celery_config.contracts.values import digest_address
from celery_config.errors import OutcomeUnknown
from celery_config.messaging.models import BarrierRow
from shipment_app.carriers import carrier
from shipment_app.models import Shipment
from shipment_app.reconciliation import SOURCE
from tests.service.pages import assert_finds_by_index, assert_reads_little, lists, opened
from tests.service.shipment.parcels import ADDRESS, book, cancel, carrier_call, dispatch

pytestmark = pytest.mark.usefixtures("carrier_process")


@pytest.fixture
def order(participant: Any) -> UUID:
    """An order with a booked shipment."""
    command = book()
    participant.do(command)
    return command.order


def findings_of(order: UUID | None) -> list[tuple[str, str]]:
    """The sandbox's books outlive a test's rows, so each test looks at its own orders."""
    return [(f.kind.value, f.detail) for f in SOURCE.compare().findings if f.order == order]


def printed(*options: str) -> tuple[int, str]:
    """Exit code and output of `reconcile`."""
    out, code = StringIO(), 0
    try:
        call_command("reconcile", *options, stdout=out)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, out.getvalue()


def test_shipments_are_listed_and_found(order: UUID, peer: Any) -> None:
    (row,) = peer.get(f"/api/shipments/?order={order}&state=booked").json()["results"]
    assert peer.get(f"/api/shipments/{row['id']}/").json() == row
    assert (row["country"], row["weight_grams"]) == ("GB", 900)
    assert peer.get("/api/shipments/?state=dispatched").json()["results"] == []
    assert peer.get(f"/api/shipments/{uuid4()}/").status_code == 404


def test_facts_for_the_audit(order: UUID, peer: Any) -> None:
    row = Shipment.objects.get()
    answer = peer.post("/api/facts/", {"orders": [str(order), str(uuid4())]}, format="json").json()
    facts = {
        "state": "booked",
        "carrier_id": row.carrier_id,
        "tracking_number": row.tracking_number,
        "weight_grams": 900,
        "parcels": 2,
        "address_digest": digest_address(ADDRESS),
    }
    assert answer == {"facts": {str(order): facts}, "totals": {"states": {"booked": 1}, "faults": []}}
    for wrong in ("x", 1, None, [], {}):
        refused = peer.post("/api/facts/", {"orders": [wrong]}, format="json")
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid")


def test_a_newer_audit_may_ask_for_more(order: UUID, peer: Any) -> None:
    """Rule 24: what another service sends may have unknown fields."""
    answer = peer.post("/api/facts/", {"orders": [str(order)], "depth": 2}, format="json")
    assert (answer.status_code, [*answer.json()["facts"]]) == (200, [str(order)])


def test_equal_books_have_no_findings(order: UUID, participant: Any) -> None:
    cancelled, saga = book(), uuid4()
    participant.do(cancelled, saga=saga)
    participant.undo(cancel(cancelled.order), saga=saga)
    participant.do(dispatch(order), step="dispatch")
    assert findings_of(order) == findings_of(cancelled.order) == []


def test_an_orphan_at_the_carrier_is_found(peer: Any) -> None:
    command = book()
    booked = carrier().book(
        key=uuid4(), order=command.order, address=command.address, weight_grams=900, parcels=2
    )
    assert [kind for kind, _ in findings_of(command.order)] == ["orphan"]
    shown = peer.get("/api/carrier-books/").json()
    (finding,) = (f for f in shown["findings"] if str(command.order) in f)
    assert finding.startswith(f"orphan {booked.carrier_id} ")
    code, text = printed("--days", "1")
    assert code == 1
    assert booked.carrier_id in text
    assert "differences" in text.splitlines()[-1]


def test_a_difference_and_a_missing_entry_are_found(order: UUID, carrier_process: Any) -> None:
    carrier_call(carrier_process, order, "cancel")
    assert findings_of(order) == [("different", "state: ours booked, theirs cancelled")]
    Shipment.objects.update(carrier_id="ship_nobody_made")
    assert sorted(kind for kind, _ in findings_of(order)) == ["missing", "orphan"]


def test_a_carrier_that_is_away_is_told(carrier_process: Any, peer: Any) -> None:
    for call in (SOURCE.compare, lambda: printed()):
        carrier_process.fault("/carrier", "error_500")
        with pytest.raises((OutcomeUnknown, CommandError)):
            call()
    carrier_process.fault("/carrier", "error_500")
    answer = peer.get("/api/carrier-books/")
    assert (answer.status_code, answer.json()["code"]) == (503, "carrier_away")


@pytest.mark.parametrize("name", ["shipments", "carrier-books"])
def test_only_staff_may_read(stranger: Any, django_user_model: Any, name: str) -> None:
    assert stranger.get(reverse(name)).status_code == 401
    stranger.force_authenticate(django_user_model.objects.create_user("customer"))
    assert stranger.get(reverse(name)).status_code == 403


def test_facts_are_for_staff(stranger: Any) -> None:
    assert stranger.post(reverse("facts"), {"orders": []}, format="json").status_code == 401


@pytest.mark.parametrize("page", lists())
def test_an_admin_list_reads_little(participant: Any, admin_client: Any, page: str) -> None:
    for _ in range(9):
        participant.do(book())
    assert_reads_little(admin_client, page)


def test_the_admin_finds_shipments(order: UUID, participant: Any, admin_client: Any) -> None:
    participant.do(book())
    row = Shipment.objects.get(order=order)
    assert_finds_by_index(admin_client, "shipment_shipment", str(order))
    for query in (str(order), row.tracking_number, row.carrier_id):
        html, _ = opened(admin_client, "shipment_shipment", q=query)
        assert html.count(f"{row.pk}/change/") == 1
    assert "No shipments match" in opened(admin_client, "shipment_shipment", q="no such")[0]


def test_the_admin_shows_a_shipment_and_where_it_goes(order: UUID, admin_client: Any) -> None:
    row = Shipment.objects.get(order=order)
    html = admin_client.get(reverse("admin:shipment_shipment_change", args=[row.pk])).content.decode()
    assert f"{row.name}<br>{row.line1}<br>{row.city}" in html
    assert admin_client.get(reverse("admin:shipment_shipment_add")).status_code == 403


def test_the_barrier_page_keeps_the_address(order: UUID, admin_client: Any) -> None:
    (barrier,) = BarrierRow.objects.all()
    html = admin_client.get(reverse("admin:messaging_barrierrow_change", args=[barrier.pk])).content.decode()
    assert barrier.request["address"]["city"] in html
    assert barrier.request["address"]["line1"] not in html


def test_the_schema_and_its_page_are_served(stranger: Any) -> None:
    assert stranger.get("/api/schema/").status_code == 200
    assert stranger.get("/api/docs/").status_code == 200


def test_the_schema_is_made_once_whatever_its_address_says(
    stranger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To make it takes longer than any other call that strangers may make."""
    known = stranger.get("/api/schema/")
    monkeypatch.setattr(SchemaGenerator, "get_schema", lambda *_, **__: pytest.fail("it is made again"))
    for query in ("version=2", "version=%00", "version=a%0d%0ab", "lang=de"):
        answer = stranger.get(f"/api/schema/?{query}")
        assert (answer.status_code, answer.content) == (200, known.content)
