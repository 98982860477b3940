"""Orders to test with: a small catalogue, a customer, and sagas whose messages can be read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from celery import current_app
from django.utils import timezone

from celery_config.contracts.shipment import Address
from celery_config.db.functions import Now
from celery_config.http import service_client
from celery_config.messaging.models import OutboxMessage
from celery_config.saga.engine import clock, step_log
from celery_config.saga.models import SagaClock, SagaInstance
from celery_config.saga.operations import barrier_client
from celery_config.saga.states import StepState
from celery_config.saga.testing import list_links, name_link
from order_project import audit, placing, requests
from order_project.domain import RequestLine
from order_project.models import CatalogueProduct, Customer, Order
from order_project.requests import OrderRequest
from tests.service.order.goods import HEART, LAMP
from tests.service.order.other_services import Services

ADDRESS = Address(name="Ada", line1="1 High St", city="London", postal_code="SW1", country="GB")
REPLIES: dict[str, dict[str, Any]] = {
    "authorize-payment": {"payment": str(UUID(int=1)), "amount": 1785, "currency": "EUR"},
    "reserve-stock": {"reservation": str(UUID(int=2))},
    "book-shipment": {"shipment": str(UUID(int=3)), "tracking_number": "SB-1"},
    "capture-payment": {"payment": str(UUID(int=1)), "captured_amount": 1785},
    "commit-stock": {"reservation": str(UUID(int=2))},
    "dispatch-shipment": {"shipment": str(UUID(int=3))},
}


class Shop:
    """The order service with two products and a customer."""

    def __init__(self) -> None:
        for sku, price in ((HEART, 255), (LAMP, 339)):
            CatalogueProduct.objects.create(
                sku=sku,
                name=f"Product {sku}",
                price=price,
                currency="EUR",
                weight_grams=150,
                active=True,
                version=1,
            )
        self.customer = Customer.objects.create(name="Ada", email="ada@example.com")
        OutboxMessage.objects.all().delete()  # the customer was announced long ago

    def request(self, **more: Any) -> OrderRequest:
        given: dict[str, Any] = {
            "customer": self.customer.pk,
            "lines": (RequestLine(sku=HEART, quantity=7),),
            "currency": "EUR",
            "payment_token": "tok_visa",
            "address": ADDRESS,
        }
        return OrderRequest(**given | more)

    def place(self, key: str | None = None, client: str = "ada", **more: Any) -> requests.Placed:
        return placing.place_order(client=client, request=self.request(**more), idempotency_key=key)

    def order(self) -> Placed:
        return Placed(self.place().order)


class Placed:
    """One placed order and its saga, read anew each time."""

    def __init__(self, order: UUID) -> None:
        self.id = order
        self.saga_id = self.order.saga

    @property
    def order(self) -> Order:
        return Order.objects.get(pk=self.id)

    @property
    def saga(self) -> SagaInstance:
        return SagaInstance.objects.get(pk=self.saga_id)

    @property
    def log(self) -> dict[str, str]:
        return dict(self.saga.steps.values_list("name", "logged"))

    @property
    def chains(self) -> list[list[str]]:
        """The links of every chain promised so far."""
        return [[name_link(link) for link in list_links(payload)] for payload in self.messages]

    @property
    def messages(self) -> list[dict[str, Any]]:
        rows = OutboxMessage.objects.filter(saga=self.saga_id, kind="task").order_by("id")
        return list(rows.values_list("payload", flat=True))

    def heard(self) -> None:
        """All its outbox rows are published."""
        OutboxMessage.objects.filter(saga=self.saga_id, kind="task").delete()

    def set(self, **fields: Any) -> None:
        SagaInstance.objects.filter(pk=self.saga_id).update(**fields)

    def log_as(self, outcome: str, *steps: str) -> None:
        """As if their events had come, long ago."""
        long_ago = timezone.now() - timedelta(days=1)
        for name in steps:
            content = {"reply": REPLIES[name]} if outcome == "done" else {}
            self.saga.steps.filter(name=name).update(logged=outcome, updated_at=long_ago, **content)

    def decisions(self) -> list[str]:
        return [f"{d.status_before} {d.status_after}" for d in self.saga.decisions.all()]


def run(message: dict[str, Any], *args: Any) -> Any:
    """Run a message's task here and now."""
    return current_app.tasks[message["task"]](*args, **message["kwargs"])


@pytest.fixture(scope="session", autouse=True)
def _handlers() -> None:
    """Register what a worker registers when it starts."""
    current_app.loader.import_default_modules()


@pytest.fixture
def shop(db: None) -> Shop:
    clock.start()
    return Shop()


@pytest.fixture
def placed(shop: Shop) -> Placed:
    return shop.order()


@pytest.fixture
def pass_time(shop: Shop) -> Callable[[float], None]:
    """Let so many seconds of saga time pass."""

    def move(seconds: float) -> None:
        moved = SagaClock.objects.get(pk=1).now + timedelta(seconds=seconds)
        SagaClock.objects.filter(pk=1).update(now=moved, ticked_at=Now())

    return move


def merge(saga: UUID, step: str, outcome: StepState, content: dict[str, Any]) -> bool:
    """Let an event tell the log; whether it changed anything."""
    return bool(step_log.merge_entries([step_log.LoggedStep(saga, step, outcome, content)]))


@pytest.fixture
def settlements(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What participants are told of steps that a person settles; nothing is sent."""
    told: list[Any] = []

    def settle(
        course: Any, saga: Any, step: str, operation: str, subject: str, answer: Any, *, note: str
    ) -> str:
        told.append((saga, step, operation, answer, note))
        return "authorize-payment is undone, says a human"

    monkeypatch.setattr(barrier_client, "send_settlement", settle)
    return told


@pytest.fixture
def others(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Services:
    fake = Services()
    transport = httpx.MockTransport(fake.answer)
    monkeypatch.setattr(
        service_client, "http_client", lambda _, url: httpx.Client(base_url=url, transport=transport)
    )
    monkeypatch.setattr(audit, "COPY_SECONDS", 0.0)
    return fake
