"""The admin's fonts have each icon that a page may show, the letters of Europe, and little else."""

from __future__ import annotations

from fontTools.ttLib import TTFont

from tests.fonts import ICONS, LATIN, OURS, TEXTS, UNFOLD, WEIGHTS, find_icons, read_icons


def test_each_icon_that_a_page_may_show_is_there() -> None:
    missing = {*find_icons(set(read_icons(TTFont(UNFOLD / ICONS))))} - set(read_icons(TTFont(OURS / ICONS)))
    assert not missing, "run `python -m tests.fonts`"


def test_each_letter_of_unfolds_font_that_europe_writes_is_there() -> None:
    for weight in WEIGHTS:
        name = TEXTS / f"Inter-{weight}.woff2"
        theirs, ours = ({*TTFont(folder / name).getBestCmap()} for folder in (UNFOLD, OURS))
        assert ours >= theirs & LATIN


def test_they_are_small() -> None:
    sizes = [path.stat().st_size for path in (OURS / ICONS.parent.parent).rglob("*.woff2")]
    assert len(sizes) == 1 + len(WEIGHTS)
    assert sum(sizes) < 150_000
