"""With four eyes no person settles here, where no other one would see it: the order service asks for both."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from tests.service.peer import bearer

pytestmark = pytest.mark.django_db
BODY: Any = {
    "task": "shipment.book-shipment", "saga": "01890a5d-ac96-774b-bcce-b302099a8057", "step": "book-shipment",
    "operation": "do", "subject": "01890a5d-ac96-774b-bcce-b302099a8057", "command": {}, "answer": {}, "note": "x",
}  # fmt: skip


def test_a_person_settles_at_the_order_service_alone(settings: Any) -> None:
    settings.FOUR_EYES = True
    client = APIClient()
    client.force_authenticate(User.objects.create_superuser("root"))
    refused = client.post("/api/barrier/settle/", BODY, format="json")
    assert refused.status_code == 409, refused.content
    assert "ask for it at the order service" in refused.json()["detail"]
    client.force_authenticate(None)
    client.credentials(HTTP_AUTHORIZATION=bearer("order"))
    assert "ask for it" not in client.post("/api/barrier/settle/", BODY, format="json").content.decode()
