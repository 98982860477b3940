"""An adapter is made by its short name or its dotted path; every mistake in the settings says what to do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from celery_config.common.loading import make_from_setting, require_setting


def make(name: str) -> Any:
    built_in = {"short": lambda settings, *, seconds: (settings.ADAPTER, seconds)}
    return make_from_setting("ADAPTER", SimpleNamespace(ADAPTER=name), built_in, seconds=2.0)


def test_an_adapter_has_a_short_name_or_a_dotted_path() -> None:
    assert make("short") == ("short", 2.0)
    assert make("tests.bench.instant_carrier.InstantCarrier").__class__.__name__ == "InstantCarrier"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("none", "ADAPTER is 'none'; set it to short or the dotted path of your own"),
        ("my_shop.carriers.Pigeon", "cannot be imported: No module named 'my_shop'"),
        ("tests.bench.instant_carrier.Pigeon", "cannot be imported"),
    ],
)
def test_a_name_without_an_adapter_is_an_error(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make(name)


@pytest.mark.parametrize("settings", [{}, {"URL": ""}, {"URL": None}])
def test_a_missing_setting_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the adapter needs URL; set it in the environment"):
        require_setting(SimpleNamespace(**settings), "URL", needed_by="the adapter")
