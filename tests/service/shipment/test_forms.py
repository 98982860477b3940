"""Every page and form of shipment's admin, with whatever may be sent."""

from __future__ import annotations

import pytest
from django.db import models
from django.test import Client

from tests.service.forms import assert_answers_everything, make_label, registered


@pytest.mark.parametrize("model", registered(of_django=False), ids=make_label)
def test_every_page_answers_everything(admin_client: Client, model: type[models.Model]) -> None:
    assert_answers_everything(admin_client, model, {})
