"""One order and what may be done with its money."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from celery_config.contracts.payment import AuthorizePayment, CapturePayment, RefundPayment, VoidPayment
from celery_config.db.functions import Now
from celery_config.messaging.models import BarrierRow
from payment_app.domain import payment_id
from payment_app.gateways import AuthorizationRecord, gateway
from payment_app.models import Payment
from tests.service.conftest import Participant
from tests.unit.compose.sandbox.sandbox_process import SandboxProcess

AUTHORIZE, CAPTURE = "authorize-payment", "capture-payment"


class Shop:
    """Sends the commands of one order's saga; each may be sent any number of times."""

    def __init__(self, participant: Participant, sandbox: SandboxProcess) -> None:
        self.participant = participant
        self.sandbox = sandbox
        self.order, self.saga, self.customer = uuid4(), uuid4(), uuid4()

    def authorize(
        self, token: str = "tok_approved", amount: int = 1999, currency: str = "GBP"
    ) -> dict[str, Any]:
        command = AuthorizePayment(
            order=self.order, customer=self.customer, amount=amount, currency=currency, payment_token=token
        )
        return self.participant.do(command, saga=self.saga, step=AUTHORIZE)

    def void(self) -> None:
        self.participant.undo(VoidPayment(order=self.order), saga=self.saga, step=AUTHORIZE)

    def capture(self, payment: UUID | None = None) -> dict[str, Any]:
        command = CapturePayment(order=self.order, payment=payment or payment_id(self.order))
        return self.participant.do(command, saga=self.saga, step=CAPTURE)

    def fence(self) -> bool:
        return self.participant.fence(CapturePayment, saga=self.saga, step=CAPTURE)

    def paid(self, amount: int = 1999) -> Payment:
        """An order whose money was taken."""
        self.authorize(amount=amount)
        self.capture()
        return self.payment()

    def refund(
        self, amount: int, *, refund: UUID | None = None, currency: str = "GBP", saga: UUID | None = None
    ) -> Any:
        """Give money back, in a saga of its own."""
        command = RefundPayment(
            order=self.order, refund=refund or uuid4(), refund_amount=amount, currency=currency
        )
        return self.participant.do(command, saga=saga, step="refund-payment")

    def forget_keys(self, saga: UUID | None = None) -> None:
        """Two days later: the provider has forgotten the keys of all calls; those of this saga are as old."""
        rows = BarrierRow.objects.filter(saga=saga or self.saga)
        rows.update(created_at=Now() - timedelta(days=2))
        self.sandbox.forget_keys()

    def payment(self) -> Payment:
        return Payment.objects.get(order=self.order)

    def books(self) -> list[AuthorizationRecord]:
        """What the provider has written about the order."""
        return gateway().find_entries(self.order)
