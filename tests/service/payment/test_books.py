"""Reconciliation, with the provider as its source: what the sweep, the command and the API find and leave alone."""

from __future__ import annotations

from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient
from structlog.testing import capture_logs

from celery_config.common.metrics import RELAY
from celery_config.errors import OutcomeUnknown
from celery_config.reconciliation.comparison import FindingKind
from celery_config.reconciliation.source import Comparison
from celery_config.reconciliation.sweep import sweep
from payment_app.gateways import gateway
from payment_app.models import Payment
from payment_app.reconciliation import SOURCE, duties
from tests.service.payment.shop import Shop
from tests.unit.compose.sandbox.sandbox_process import SandboxProcess


@pytest.fixture
def sandbox(empty_books: SandboxProcess) -> SandboxProcess:
    """Here the whole of the provider's books counts."""
    return empty_books


def kinds(result: Comparison) -> list[FindingKind]:
    return [finding.kind for finding in result.findings]


def test_equal_books_have_no_findings(shop: Shop) -> None:
    shop.paid(100)
    shop.refund(30)
    other = Shop(shop.participant, shop.sandbox)
    other.authorize()
    other.void()
    assert SOURCE.compare() == Comparison(checked=2, under_way=0, findings=[])


def test_a_charge_nobody_here_knows_is_an_orphan(shop: Shop) -> None:
    held = gateway().authorize(
        key=uuid4(), order=shop.order, amount=500, currency="GBP", token="tok_approved"
    )
    (finding,) = SOURCE.compare().findings
    assert (finding.kind, finding.id, finding.order) == (FindingKind.ORPHAN, held.provider_id, shop.order)


def test_a_call_under_way_is_not_judged(shop: Shop) -> None:
    with pytest.raises(OutcomeUnknown):
        shop.authorize("tok_error_after_charging")
    result = SOURCE.compare()
    assert (result.under_way, result.findings) == (1, [])
    shop.void()
    assert SOURCE.compare() == Comparison(checked=1, under_way=0, findings=[])


def test_a_capture_by_hand_differs(shop: Shop) -> None:
    shop.authorize()
    gateway().capture(key=uuid4(), provider_id=shop.payment().provider_id, amount=1999, currency="GBP")
    (finding,) = SOURCE.compare().findings
    assert finding.kind is FindingKind.DIFFERENT
    assert finding.detail == "state: ours authorized, theirs captured; captured: ours 0, theirs 1999"


def test_what_the_provider_does_not_know_is_missing(shop: Shop) -> None:
    shop.authorize()
    Payment.objects.update(provider_id="auth_unheard_of")
    assert sorted(kinds(SOURCE.compare())) == [FindingKind.MISSING, FindingKind.ORPHAN]


def test_a_difference_that_a_second_look_does_not_show_is_none(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two books are read at two moments; here a capture comes between them."""
    shop.authorize()
    read = list(gateway().list_entries())
    shop.capture()
    monkeypatch.setattr(type(gateway()), "list_entries", lambda self, since=None: iter(read))
    assert SOURCE.compare().findings == []


def test_the_command_exits_with_1_and_shows_the_difference(shop: Shop) -> None:
    out = StringIO()
    shop.authorize()
    call_command("reconcile", stdout=out)
    assert out.getvalue() == "reconcile: 1 authorizations checked, 0 under way, 0 differences\n"
    Payment.objects.update(amount=1)
    with pytest.raises(SystemExit) as ended:
        call_command("reconcile", "--days", "1", stdout=out)
    assert ended.value.code == 1
    assert "amount: ours 1, theirs 1999" in out.getvalue()


def test_an_id_of_the_provider_ends_no_command(shop: Shop) -> None:
    out = StringIO()
    shop.authorize()
    Payment.objects.update(provider_id="[/b]\x1b[2J")
    with pytest.raises(SystemExit):
        call_command("reconcile", stdout=out)
    assert "[/b]\\u001b[2J" in out.getvalue()


def test_the_command_says_when_the_provider_is_away(shop: Shop) -> None:
    shop.sandbox.fault("/provider", "error_500")
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("reconcile")


def test_the_api_compares_and_says_when_it_cannot(peer: APIClient, shop: Shop) -> None:
    shop.paid()
    assert peer.get("/api/provider-books/").json() == {"checked": 1, "under_way": 0, "findings": []}
    shop.sandbox.fault("/provider", "error_500")
    answer = peer.get("/api/provider-books/?days=2")
    assert (answer.status_code, answer.json()["code"]) == (503, "provider_away")
    for days in ("x", "nan", "-1", "1e400"):
        assert peer.get(f"/api/provider-books/?days={days}").status_code == 400


def test_the_daily_sweep_logs_and_counts(shop: Shop, transactional_db: None) -> None:
    gateway().authorize(key=uuid4(), order=shop.order, amount=500, currency="GBP", token="tok_approved")
    with capture_logs() as logs:
        sweep(SOURCE)
    assert [entry["event"] for entry in logs] == ["books differ", "books compared"]
    assert RELAY.get_sample_value("order_saga_book_differences", {"books": "provider", "kind": "orphan"}) == 1
    (duty,) = duties()
    assert duty.seconds == 24 * 3600


def test_a_sweep_without_the_provider_says_so(shop: Shop, transactional_db: None) -> None:
    shop.sandbox.fault("/provider", "error_500")
    with capture_logs() as logs:
        sweep(SOURCE)
    assert [entry["log_level"] for entry in logs] == ["error"]


def test_every_process_has_one_gateway(shop: Shop) -> None:
    assert gateway() is gateway()
