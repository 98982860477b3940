"""Recovery of a payment database that was set back behind a fence: a late message must not take the money."""

from __future__ import annotations

import pytest

from celery_config.contracts.payment import AuthorizePayment, CapturePayment
from celery_config.errors import StepSuperseded
from celery_config.messaging.models import BarrierRow
from celery_config.messaging.recovery import Repair
from celery_config.messaging.states import Action
from celery_config.participant.recovery import KnownFlow, KnownStep
from payment_app import services
from payment_app.recovery import recover_payment
from tests.service.payment.shop import AUTHORIZE, CAPTURE, Shop


def recover(shop: Shop, status: str) -> list[str]:
    """Write what is proven of the order's saga, whose log knows nothing of its capture; return what that was."""
    steps = (
        KnownStep(AUTHORIZE, AuthorizePayment.wire_name(), "done", {}, {}),
        KnownStep(CAPTURE, CapturePayment.wire_name(), "", None, {"order": str(shop.order)}),
    )
    flow = KnownFlow(shop.saga, shop.order, "place-order", status, steps)
    found = list(recover_payment(flow, shop.books(), is_open=True))
    for repair in found:
        assert isinstance(repair, Repair)
        repair.write("a test")
    return [repair.what for repair in found]


@pytest.mark.parametrize("status", ["stopping", "parked"])
def test_what_is_being_stopped_is_fenced_again(shop: Shop, status: str) -> None:
    """The undos that followed the lost fence were done; then a late capture took the money."""
    shop.authorize()
    (what,) = recover(shop, status)
    assert what.endswith("barrier: capture-payment never to run")
    with pytest.raises(StepSuperseded):
        shop.capture()
    assert [each.state for each in shop.books()] == ["authorized"]
    shop.void()
    assert shop.payment().state == "voided"


def test_what_runs_may_be_captured(shop: Shop) -> None:
    shop.authorize()
    assert recover(shop, "running") == []
    assert shop.capture()


def test_a_capture_that_the_provider_knows_counts(shop: Shop) -> None:
    shop.paid()
    BarrierRow.objects.filter(step=CAPTURE).delete()
    recover(shop, "stopping")
    assert shop.fence(), "the pivot ran"


def test_a_capture_that_was_under_way_when_the_backup_was_made(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its intent stayed open beside the captured payment, and each fence that settled it failed."""

    def die(amounts: object) -> None:
        raise RuntimeError("killed before its commit")

    shop.authorize()
    with monkeypatch.context() as killed:
        killed.setattr(services, "record_captures", die)
        with pytest.raises(RuntimeError, match="killed"):
            shop.capture()
    assert BarrierRow.objects.get(step=CAPTURE).action == Action.INTENT
    recover(shop, "stopping")
    assert shop.payment().state == "captured"
    assert shop.fence(), "the pivot ran"
