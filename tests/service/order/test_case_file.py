"""The case file of an order: all that is known of it, and nothing of the person."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command

from celery_config.db.functions import Now
from celery_config.messaging.states import Action, Undo
from celery_config.saga.course import Held
from celery_config.saga.models import DeadLetter, OperatorAction, SagaDecision, StepTry
from celery_config.saga.operations import barrier_client
from order_project.case_file import MASK
from order_project.domain import Flow
from order_project.models import Order
from tests.service.order.conftest import Placed, Shop


@pytest.fixture(autouse=True)
def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barrier_client, "read_barriers", lambda steps, _: {"payment": None})


def explain(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("explain", *arguments, stdout=out)
    return dict(json.loads(out.getvalue()))


def test_it_has_the_sentence_the_steps_and_whatever_was_decided_and_done(placed: Placed) -> None:
    SagaDecision.objects.create(
        saga=placed.saga, came="asked to stop", status_before="running", status_after="stopping"
    )
    DeadLetter.objects.create(
        saga=placed.saga_id, reason="rejected", queue="payment.commands", consequence="kept"
    )
    OperatorAction.objects.create(
        saga=placed.saga, subject=str(placed.id), verb="retry", what="", by="op", why="again", effect="sent"
    )
    known = explain(str(placed.id))
    assert known["sentence"].startswith("On its way")
    assert known["steps"][0]["step"] == "authorize-payment"
    assert known["decisions"][0]["decision"].startswith("somebody asked to cancel it")
    assert known["dead_letters"][0]["queue"] == "payment.commands"
    assert known["operators"][0]["why"] == "again"
    assert known["services_say"] == {"payment": "does not answer"}


def test_of_a_letter_it_has_what_the_pages_show(placed: Placed) -> None:
    """Its sender may have written the name of somebody else, which is not masked as the customer's own."""
    DeadLetter.objects.create(
        saga=placed.saga_id, reason="rejected", queue="Grace Hopper", task="of Grace Hopper",
        fault="it says 'Grace Hopper'", consequence="kept",
    )  # fmt: skip
    known = explain(str(placed.id))
    assert "Grace" not in str(known)
    assert known["dead_letters"][0]["fault"] == "it says hidden"


def test_it_has_the_words_of_the_pages(placed: Placed, monkeypatch: pytest.MonkeyPatch) -> None:
    came = ("silent until due", "the pivot ran", "event: capture-payment done", "cannot be driven")
    for text in came:
        SagaDecision.objects.create(
            saga=placed.saga, came=text, status_before="running", status_after="running", sent="stop chain"
        )
    effect = "parked to stopping; sent: fence capture-payment, undo authorize-payment"
    OperatorAction.objects.create(
        saga=placed.saga, subject=str(placed.id), verb="retry", what="", by="op", why="again", effect=effect
    )
    StepTry.objects.create(
        event=uuid4(), flow=placed.saga_id, step="capture-payment", operation="fence", number=1, code="error", at=Now()
    )  # fmt: skip
    told = {"capture-payment": Held(Action.TOMBSTONE, Undo.INTENT, None)}
    monkeypatch.setattr(barrier_client, "read_barriers", lambda steps, _: {"payment": told})
    text = json.dumps(explain(str(placed.id))).lower()
    of_code = (
        "fingerprint", "silent until due", "barrier", "pivot", "tombstone", "intent", "fence", "chain", "drive",
    )  # fmt: skip
    assert [word for word in of_code if word in text] == []


def test_what_the_customer_gave_stands_nowhere_in_it_even_if_others_repeat_it(
    shop: Shop, placed: Placed
) -> None:
    secrets = ["1 High St", "SW1", "ada@example.com", "tok_visa", str(shop.customer.pk)]
    SagaDecision.objects.create(
        saga=placed.saga,
        came="x",
        status_before="running",
        status_after="running",
        detail=f"no {', '.join(secrets)}",
    )
    OperatorAction.objects.create(
        saga=placed.saga,
        subject=str(placed.id),
        verb="retry",
        what="",
        by="op",
        why="asked by Ada",
        effect="",
    )
    text = json.dumps(explain(str(placed.id)))
    assert [secret for secret in [*secrets, "Ada"] if secret in text] == []
    assert MASK in text
    assert "London" in text, "the city stays: it says why a carrier refuses"


def test_a_choreographed_order_has_its_events(shop: Shop) -> None:
    order = shop.place(flow=Flow.CHOREOGRAPHED).order
    known = explain(str(order), "--offline")
    assert (known["flow"], known["services_say"], known["decisions"]) == ("choreographed", {}, [])
    assert known["status"]["in_words"] == "on its way"


def test_an_order_is_found_by_id_saga_and_number(placed: Placed) -> None:
    Order.objects.filter(pk=placed.id).update(reference="536365")
    ends = str(placed.id)[-8:], f"…{str(placed.saga_id)[-8:]}"
    for name in (str(placed.id), str(placed.saga_id), "536365", *ends):
        assert explain(name)["order"] == str(placed.id)
    for name in ("", "nothing", "00000000-0000-0000-0000-000000000000", "00000000"):
        with pytest.raises(CommandError, match="There is no order"):
            call_command("explain", name)


def test_an_end_that_several_orders_have_is_not_enough(placed: Placed) -> None:
    other = Order.objects.get(pk=placed.id)
    other.pk, other.saga = UUID(f"{uuid4()}"[:-8] + str(placed.id)[-8:]), uuid4()
    other.save(force_insert=True)
    with pytest.raises(CommandError, match="Several orders end in"):
        call_command("explain", str(placed.id)[-8:])


def test_watch_shows_the_strip_and_stops_where_nothing_moves(
    placed: Placed, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("watch", str(placed.id), "--once")
    assert "▶ calling" in capsys.readouterr().out
    placed.set(status="parked")
    call_command("watch", str(placed.id))
    assert "Waits for a decision" in capsys.readouterr().out
