"""What an operator reads is in plain words: no status, step, or act by the name that the code has for it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from celery_config.messaging.states import Action, Undo
from celery_config.saga.course import Answer
from celery_config.saga.engine import runner
from celery_config.saga.engine.machine import StepFailed
from celery_config.saga.models import SagaPause
from celery_config.saga.operations import barrier_client, operators
from celery_config.saga.operations.wording import describe_status
from celery_config.saga.states import Status
from order_project.models import Order
from tests.service.order.conftest import Placed
from tests.service.order.saga.operations.test_operators import AUTHORIZED, held, park
from tests.service.readable import read_text

pytestmark = pytest.mark.django_db
NAMES_OF_THE_CODE = re.compile(
    r"\b(?:running|stopping|forward|completed|compensated|parked|compensatable|retriable|pivot|barrier|intent"
    r"|tombstone|saga log|(?:authorize|capture)-payment|(?:reserve|commit)-stock|(?:book|dispatch)-shipment)\b"
)


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Answer]:
    """Payment holds money, and its undo is in doubt; inventory holds stock; shipment does not answer."""
    told: dict[str, Answer] = {
        "payment": {"authorize-payment": held(Action.DONE, Undo.INTENT, **AUTHORIZED)},
        "inventory": {"reserve-stock": held(Action.DONE, reservation="x")},
        "shipment": None,
    }
    monkeypatch.setattr(barrier_client, "read_barrier", lambda service, saga: told[service])
    return told


def read(client: Client, url: str, form: dict[str, str] | None = None, **query: str) -> str:
    """The words of the content of a page, or of a fragment."""
    answer = client.post(url, form, follow=True) if form else client.get(url, query)
    assert answer.status_code == 200
    html = answer.content.decode()
    return read_text(html.partition('id="content"')[2] or html)


def saga_page(placed: Placed, view: str = "change") -> str:
    return reverse(f"admin:saga_sagainstance_{view}", args=[placed.saga_id])


def set_status(placed: Placed, status: Status) -> None:
    if status is Status.PARKED:
        park(placed)
    else:
        placed.set(status=status, **({"due_at": None} if status in ("completed", "compensated") else {}))


@pytest.mark.parametrize("status", Status)
class TestAStatus:
    def test_is_told_in_the_same_words_on_its_page_and_in_its_list(
        self, admin_client: Client, placed: Placed, status: Status
    ) -> None:
        set_status(placed, status)
        for url in (saga_page(placed), reverse("admin:saga_sagainstance_changelist")):
            words = read(admin_client, url)
            assert describe_status(status) in words
            assert not NAMES_OF_THE_CODE.findall(words), url

    def test_of_an_order_is_the_same_in_its_list_on_its_page_and_where_it_is_found(
        self, admin_client: Client, placed: Placed, status: Status
    ) -> None:
        set_status(placed, status)
        ended = {Status.COMPLETED: "confirmed", Status.COMPENSATED: "cancelled"}
        Order.objects.filter(pk=placed.order.pk).update(status=ended.get(status, "placed"))
        found = read(admin_client, reverse("admin:find"), q=str(placed.order.pk)[-8:])
        assert f"{describe_status(status)}, " in found
        label = re.compile(
            rf"field-shown_status[^>]*>\s*<[^>]*>\s*{describe_status(status)}\s*<|>\s*{describe_status(status)}\s*</span>"
        )
        for url in (
            reverse("admin:order_order_changelist"),
            reverse("admin:order_order_change", args=[placed.order.pk]),
        ):
            assert label.search(admin_client.get(url).content.decode()), url

    def test_is_told_in_words_where_a_verb_is_refused(
        self, admin_client: Client, placed: Placed, status: Status
    ) -> None:
        set_status(placed, status)
        for verb in ("retry", "compensate", "resume", "take_over", "settle_by_hand"):
            words = read(admin_client, saga_page(placed, verb))
            assert not NAMES_OF_THE_CODE.findall(words), verb


def test_a_list_is_filtered_by_the_words_of_its_column(admin_client: Client, placed: Placed) -> None:
    park(placed)
    url = reverse("admin:saga_sagainstance_changelist")
    for value, count in (("parked", 1), ("running", 0)):
        page: Any = admin_client.get(url, {"status__exact": value})
        assert len(page.context["cl"].result_list) == count
        assert describe_status(Status.PARKED) in page.content.decode()


def test_effects_are_told_in_the_words_of_the_strip(admin_client: Client, placed: Placed) -> None:
    park(placed)
    words = read(admin_client, saga_page(placed, "retry"))
    assert re.search("authorize the payment payment held .* its undo was begun", words)
    assert re.search("reserve the stock inventory held", words)
    assert re.search("book the shipment shipment (never ran|not yet) .* its service does not answer", words)


def test_a_call_is_settled_by_the_name_of_what_was_asked_for(admin_client: Client, placed: Placed) -> None:
    park(placed)
    assert "void the payment: it was undone, or never was done" in read(
        admin_client, saga_page(placed, "settle_by_hand")
    )


def test_what_operators_did_and_what_was_decided_is_told_in_words(
    admin_client: Client, placed: Placed
) -> None:
    runner.handle_trigger(placed.saga_id, StepFailed("reserve-stock", "do"))
    park(placed)
    operators.perform(placed.saga, "retry", by="ada", why="mended")
    act = reverse("admin:saga_operatoraction_changelist")
    for url in (saga_page(placed), act):
        words = read(admin_client, url)
        assert "Bring to an end" in words
        assert not NAMES_OF_THE_CODE.findall(words), url
    assert "waits for a decision → being cancelled" in read(admin_client, saga_page(placed))


def test_a_step_that_may_never_have_run_is_told_from_one_that_was_undone(
    admin_client: Client, placed: Placed
) -> None:
    placed.log_as("done", "authorize-payment")
    placed.log_as("undone", "authorize-payment", "reserve-stock")
    placed.set(status="compensated", due_at=None)
    html = admin_client.get(saga_page(placed)).content.decode()
    steps = read_text(html.partition('id="steps-group"')[2])
    assert re.search("authorize the payment can be undone undone", steps)
    assert re.search("reserve the stock can be undone undone, or never ran", steps)


def test_a_pause_names_what_it_holds_up(admin_client: Client, placed: Placed) -> None:
    assert "capture the payment" in read(admin_client, reverse("admin:saga_sagapause_pause"))
    SagaPause.objects.create(step="capture-payment", by="ada", why="w")
    for url in (reverse("admin:saga_sagapause_changelist"), reverse("admin:board", args=["under-way"])):
        words = read(admin_client, url)
        assert "nothing new that has to capture the payment" in words
        assert not NAMES_OF_THE_CODE.findall(words), url
