"""What an operator reads is in plain words: no status, step, or act by the name that the code has for it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from celery_config.messaging.states import Action, Undo
from celery_config.saga.batches.choosing import make_batch
from celery_config.saga.batches.models import Batch
from celery_config.saga.course import Answer
from celery_config.saga.engine import runner
from celery_config.saga.engine.machine import StepFailed
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.models import SagaInstance, SagaPause
from celery_config.saga.operations import barrier_client, operators
from celery_config.saga.operations.explanation import explain
from celery_config.saga.operations.flow_reader import read_flows
from celery_config.saga.operations.wording import describe_status
from celery_config.saga.states import Status
from order_project.models import Order
from tests.service.order.conftest import Placed, Shop
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


class TestADialogAndItsMessage:
    """They have the same words for the same thing: the act, what it is on, what it changes and what it sends."""

    @pytest.mark.parametrize("verb", ["retry", "compensate", "resume", "take_over", "settle_by_hand"])
    def test_of_one(self, admin_client: Client, placed: Placed, verb: str, monkeypatch: Any) -> None:
        monkeypatch.setattr(barrier_client, "send_settlement", lambda *args, note: "payment wrote it")
        placed.log_as("done", "authorize-payment", *(["capture-payment"] if verb == "resume" else []))
        park(placed)
        url = saga_page(placed, verb)
        html = admin_client.get(url).content.decode()
        (title,) = re.findall(r"<h1[^>]*>([^<]+: [^<]+)</h1>", html)
        foretold = re.findall(r'<p class="mb-2">(.+)\.</p>', html)
        form = {"why": "w", "seen": "parked", "intent": "authorize-payment undo", "answer": "{}"}
        told = admin_client.post(url, form, follow=True).content.decode()
        assert f"{title}: " in told
        if verb in ("retry", "compensate", "resume"):
            assert foretold[0].lower().replace("; to be sent: ", "; sent: ") in told.lower()
            assert "the payment" in foretold[0] or verb == "resume"
        if verb == "settle_by_hand":
            assert "void the payment" in html
            assert f"{title}: void the payment: payment wrote it." in told

    def test_of_many(self, admin_client: Client, shop: Shop) -> None:
        waiting, stopping = shop.order(), shop.order()
        park(waiting)
        runner.request_stop(stopping.saga_id, code="cancelled", reason="")
        url = reverse("admin:saga_sagainstance_changelist")
        form: Any = {"action": "retry_each", "_selected_action": [waiting.saga_id, stopping.saga_id]}
        asking = admin_client.post(url, form).content.decode()
        (title,) = re.findall(r"<h1[^>]*>([^<]+: [^<]+)</h1>", asking)
        foretold = re.findall(r"<p>([^<]+; to be sent: [^<]+)\.</p>", asking)
        assert len(foretold) == 2
        told = admin_client.post(url, {**form, "confirmed": "yes", "why": "w"}, follow=True).content.decode()
        assert title == "Bring to an end: 2 sagas"
        assert told.count("Bring to an end: 1 saga: ") == 2
        for each in foretold:
            assert each.lower().replace("; to be sent: ", "; sent: ") in told.lower()

    @pytest.mark.parametrize(
        ("act", "state"), [("start", "ready"), ("pause", "running"), ("resume", "paused"), ("stop", "ready")]
    )
    @pytest.mark.parametrize("one_first", [False, True])
    def test_of_a_batch(
        self, admin_client: Client, placed: Placed, act: str, state: str, one_first: bool
    ) -> None:
        park(placed)
        rows = SagaInstance.objects.filter(pk=placed.saga_id)
        batch = make_batch(SAGAS, rows, "retry", by="ada", why="w", chosen_by={}, one_first=one_first)
        Batch.objects.update(state=state)
        url = reverse(f"admin:batches_batch_{act}", args=[batch.pk])
        html = admin_client.get(url).content.decode()
        (title,) = re.findall(r"<h1[^>]*>([^<]+: [^<]+)</h1>", html)
        (foretold,) = re.findall(r'<p class="mb-2">(.+)\.</p>', html)
        told = admin_client.post(url, {"why": "w"}, follow=True).content.decode()
        assert f"{title}: {foretold}.".lower() in told.lower()


def test_a_flow_that_does_not_wait_for_a_decision_says_why_it_waits_among_many(
    admin_client: Client, shop: Shop
) -> None:
    """In the words of its own page."""
    waiting, stopping = shop.order(), shop.order()
    park(waiting)
    stopping.log_as("done", "authorize-payment")
    runner.request_stop(stopping.saga_id, code="cancelled", reason="cancelled by us")
    form: Any = {"action": "retry_each", "_selected_action": [waiting.saga_id, stopping.saga_id]}
    url = reverse("admin:saga_sagainstance_changelist")
    table = read_text(admin_client.post(url, form).content.decode().partition("One by one")[2])
    facts = read_flows([waiting.saga, stopping.saga])
    assert waiting.saga.fingerprint in table
    sentence = explain(facts[stopping.saga_id]).text  # type: ignore[index]
    assert sentence.partition(", next at")[0] in table


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
