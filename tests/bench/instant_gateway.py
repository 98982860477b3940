"""A payment gateway in the process itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from payment_app import gateways
from tests.bench.providers import Instant


class InstantGateway(Instant):
    """Approves every payment."""

    currencies = gateways.SandboxGateway.currencies

    def authorize(
        self, *, key: UUID | str, order: UUID, amount: int, currency: str, token: str
    ) -> gateways.Authorized:
        return gateways.Authorized(f"instant_{key}")

    def capture(self, *, key: UUID | str, provider_id: str, amount: int, currency: str) -> None:
        pass

    def void(self, *, key: UUID | str, provider_id: str) -> None:
        pass

    def refund(self, *, key: UUID | str, provider_id: str, amount: int, currency: str) -> gateways.Refunded:
        return gateways.Refunded(f"instant_{key}")

    def find_entries(self, order: UUID) -> list[gateways.AuthorizationRecord]:
        return []

    def list_entries(self, since: datetime | None = None) -> Iterator[gateways.AuthorizationRecord]:
        return iter(())
