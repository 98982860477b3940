"""`python -m tests.icon_font`: make the admin's icon font of those icons alone that its pages may show.

Unfold brings all icons of Material Symbols, ten times as many bytes. Ours has the same path and goes before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from pathlib import Path
from typing import Any

import unfold
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

ROOT = Path(__file__).parents[1]
UNFOLD = Path(unfold.__file__).parent
NAME = Path("static/unfold/fonts/material-symbols/Material-Symbols-Outlined.woff2")
OURS = ROOT / "celery_config/web" / NAME
OUR_FOLDERS = ("celery_config", "order_project", "payment_app", "inventory_app", "shipment_app")
WORD = re.compile(r"[a-z][a-z0-9_]+")
ICON = re.compile(r'icon"?[=:] ?"([a-z0-9_]+)"')
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_"


def main() -> None:
    font = TTFont(UNFOLD / NAME)
    glyphs = read_icons(font)
    options = Options(layout_features=["*"], layout_closure=False, flavor="woff2", hinting=False)
    subsetter = Subsetter(options)
    subsetter.populate(text=LETTERS, glyphs=[glyphs[icon] for icon in find_icons(set(glyphs))])
    subsetter.subset(font)
    font.flavor = "woff2"
    OURS.parent.mkdir(parents=True, exist_ok=True)
    font.save(OURS)


def read_icons(font: Any) -> dict[str, str]:
    """The glyph of each icon of a font: an icon's name is a ligature."""
    letters = {glyph: chr(code).lower() for code, glyph in font.getBestCmap().items()}
    return {
        "".join(letters[glyph] for glyph in (first, *ligature.Component)): ligature.LigGlyph
        for lookup in font["GSUB"].table.LookupList.Lookup
        for table in lookup.SubTable
        for first, ligatures in getattr(table, "ExtSubTable", table).ligatures.items()
        for ligature in ligatures
    }


def find_icons(known: Set[str]) -> list[str]:
    """The icons that a page may show: an icon whose name is a word of a template or script, or an `icon=` of code."""
    return sorted(known & {word for found in find_words() for word in found})


def find_words() -> Iterable[list[str]]:
    for path in UNFOLD.rglob("*"):
        if path.suffix in (".html", ".py", ".js"):
            yield WORD.findall(path.read_text())
    for path in (path for folder in OUR_FOLDERS for path in (ROOT / folder).rglob("*")):
        if path.suffix in (".html", ".js"):
            yield WORD.findall(path.read_text())
        elif path.suffix == ".py":
            yield ICON.findall(path.read_text())


if __name__ == "__main__":
    main()
