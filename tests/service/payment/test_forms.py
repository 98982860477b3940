"""Every page and form of payment's admin, with whatever may be sent."""

from __future__ import annotations

import pytest
from django.db import models
from django.test import Client

from tests.service.forms import assert_answers_everything, make_label, registered
from tests.service.payment.shop import Shop


@pytest.mark.parametrize("model", registered(of_django=False), ids=make_label)
def test_every_page_answers_everything(admin_client: Client, shop: Shop, model: type[models.Model]) -> None:
    shop.paid(1999)
    shop.refund(500)
    assert_answers_everything(admin_client, model, {})
