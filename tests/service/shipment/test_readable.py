"""Every page of shipment's admin, as an operator reads it."""

from __future__ import annotations

import pytest
from django.db import models
from django.test import Client

from tests.service.forms import make_label, registered
from tests.service.readable import find_code_words


@pytest.mark.parametrize("model", registered(of_django=False), ids=make_label)
def test_a_page_has_plain_words(admin_client: Client, model: type[models.Model]) -> None:
    assert find_code_words(admin_client, model) == []
