"""The admin's icon font has each icon that a page may show, and few others."""

from __future__ import annotations

from fontTools.ttLib import TTFont

from tests.icon_font import NAME, OURS, UNFOLD, find_icons, read_icons


def test_has_each_icon_that_a_page_may_show() -> None:
    missing = {*find_icons(set(read_icons(TTFont(UNFOLD / NAME))))} - set(read_icons(TTFont(OURS)))
    assert not missing, "run `python -m tests.icon_font`"


def test_is_small() -> None:
    assert OURS.stat().st_size < 40_000
